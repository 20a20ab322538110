// An existing ONNX decoder -> the blocks of a pack.
//
// The graph may come from any exporter. What is needed of it: integer token ids, caches of keys and
// values for every layer that can be extended (a past), logits for every token, attention that is
// GroupQueryAttention in whatever spelling, and between any two layers a place where one value per
// token crosses. docs/onnx-models.md has the steps and the reasons for which models are refused.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "onnx/model.h"
#include "partition/constant.h"
#include "partition/reading.h"

namespace shoal::partition {

// A constant of a block that lies outside of its graph.
struct BlockConstant {
  std::string initializer;  // In the block's graph.
  std::string key;          // In Partition::constants.
  bool shared = false;      // With other blocks.
};

struct PartitionBlock {
  // By the graph contract of docs/pack-format.md. Constants outside have no location yet.
  onnx::Model model;
  std::vector<BlockConstant> constants;
  uint64_t params = 0;
  uint64_t flops_per_token = 0;
  uint64_t attention_flops_per_position = 0;
};

struct Partition {
  // 0 is what comes before the first layer, the last what comes after the last one.
  std::vector<PartitionBlock> blocks;
  std::map<std::string, Constant> constants;
  int64_t hidden = 0;
  int64_t vocab = 0;
  int64_t heads = 0;     // Of the first layer.
  int64_t kv_heads = 0;  // Of the first layer.
  int64_t head_size = 0;
  std::vector<LayerCache> layers;
  uint64_t params = 0;
};

// `positions`: the longest context. Errors say what the model would have to be like.
Result<Partition> Divide(onnx::Model model, TensorBytes bytes, int64_t positions);

}  // namespace shoal::partition
