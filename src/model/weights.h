// The weights of each block: what they are called in the checkpoint, their shapes, and what they
// cost in parameters and arithmetic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/architecture.h"

namespace shoal::model {

enum class WeightKind : uint8_t {
  kMatrix,     // [outputs, inputs]: multiplies each row x as x * W^T.
  kVector,     // [n]: a norm's weight or a bias.
  kEmbedding,  // [vocab, hidden]: one row per token.
};

struct WeightSpec {
  std::string role;    // Its name within the block: "q", "q_bias", "attention_norm", "table", ...
  std::string tensor;  // Its name in the checkpoint.
  std::vector<uint64_t> shape;  // As in the checkpoint.
  WeightKind kind = WeightKind::kMatrix;

  uint64_t element_count() const;
};

// The weights that block `block` reads, in the order in which they are stored. With tied embeddings
// block 0 reads the head's matrix: both list a weight with the same `tensor`.
std::vector<WeightSpec> BlockWeights(const Architecture& arch, uint32_t block);

// Whether a tensor that no block reads may be in a checkpoint all the same: buffers that are
// computed from the configuration, and the copy of a tied head.
bool IsIgnorableTensor(const Architecture& arch, std::string_view tensor);

struct BlockCosts {
  uint64_t params = 0;           // With tied embeddings the shared matrix counts in both blocks.
  uint64_t flops_per_token = 0;  // Of the products with weights; two for each weight of a matrix.
  uint64_t attention_flops_per_position = 0;  // More for every position that a token attends to.
  uint64_t kv_values_per_token = 0;           // Keys and values together.
};
BlockCosts CostsOf(const Architecture& arch, uint32_t block);

// Parameters of the whole model, a shared matrix counted once.
uint64_t TotalParams(const Architecture& arch);

}  // namespace shoal::model
