// GroupQueryAttention's formula, written down plainly: what the nodes of a graph are compared with.
#pragma once

#include <cstdint>
#include <vector>

#include "partition/reading.h"

namespace shoal::partition {

// How keys and queries turn with their position; pairs = 0: they do not.
struct Rotary {
  size_t pairs = 0;
  bool interleaved = false;  // Pairs are neighbours; else `pairs` apart.
  std::vector<float> cos;    // [positions, pairs]
  std::vector<float> sin;    // [positions, pairs]

  size_t First(size_t pair) const { return interleaved ? 2 * pair : pair; }
  size_t Second(size_t pair) const { return interleaved ? 2 * pair + 1 : pair + pairs; }
};

struct AttentionInputs {
  Sample sample;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t size = 0;
  std::vector<double> query;       // [batch, sequence, heads, size]
  std::vector<double> key;         // [batch, sequence, kv_heads, size]
  std::vector<double> value;       // [batch, sequence, kv_heads, size]
  std::vector<double> past_key;    // [batch, kv_heads, past, size]
  std::vector<double> past_value;  // [batch, kv_heads, past, size]
};

struct AttentionOutputs {
  std::vector<double> out;            // [batch, sequence, heads, size]
  std::vector<double> present_key;    // [batch, kv_heads, total, size]
  std::vector<double> present_value;  // [batch, kv_heads, total, size]
};

struct Formula {
  int64_t size = 0;
  Rotary rotary;
  double scale = 1;
  int64_t window = 0;  // 0: all positions.

  // Values [batch, sequence, heads, size] turned by their positions.
  std::vector<double> Turned(std::vector<double> values, const Sample& sample, int64_t heads) const;
  AttentionOutputs Run(const AttentionInputs& inputs) const;
};

}  // namespace shoal::partition
