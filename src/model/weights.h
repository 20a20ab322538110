// The weights of each block: what they are called in the checkpoint, where in its tensors they lie,
// their shapes, and what they cost in parameters and arithmetic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/architecture.h"

namespace shoal::model {

enum class WeightKind : uint8_t {
  kMatrix,     // [outputs, inputs]: multiplies each row x as x * W^T.
  kVector,     // [n] or [experts, n]: a norm's weight or a bias.
  kEmbedding,  // [rows, hidden]: one row per token or position.
  kHeads,      // [heads, inputs, outputs]: head h of a row multiplies matrix h.
  kExperts,    // [experts, outputs, inputs]: a matrix for each expert.
};

// A part of one of the checkpoint's tensors, by strides: element (i, j, ...) of `dims` is the
// tensor's element offset + i * strides[0] + j * strides[1] + ...
struct WeightPiece {
  std::string tensor;                  // Its name in the checkpoint.
  std::vector<uint64_t> tensor_shape;  // The whole tensor's.
  uint64_t offset = 0;
  std::vector<uint64_t> dims;
  std::vector<uint64_t> strides;

  // All of a tensor of this shape.
  static WeightPiece Whole(std::string tensor, std::vector<uint64_t> shape);
  uint64_t element_count() const;
  // Whether its elements are neighbours in the tensor, in order.
  bool IsContiguous() const;
};

struct WeightSpec {
  std::string role;  // Its name within the block: "q", "q_bias", "attention_norm", "table", ...
  WeightKind kind = WeightKind::kMatrix;
  std::vector<uint64_t> shape;
  // One after the other they fill the shape. If `paired`, every two of them fill their part of it
  // in turns, a row (an element, if they have but one dim) of the one and then of the other.
  std::vector<WeightPiece> pieces;
  bool paired = false;
  // Added to every value: norms of some families are stored as their difference from 1.
  float added = 0;
  // Of a mixture's experts: the group whose block holds the weight.
  std::optional<uint32_t> expert_group;

  uint64_t element_count() const;
};

// The weights that block `block` reads, in the order in which they are stored. With tied embeddings
// block 0 reads the head's matrix: both list a weight with the same piece.
std::vector<WeightSpec> BlockWeights(const Architecture& arch, uint32_t block);

// Whether a tensor that no block reads may be in a checkpoint all the same: buffers that are
// computed from the configuration, the copy of a tied head, layers that predict further tokens, and
// parts beside the decoder.
bool IsIgnorableTensor(const Architecture& arch, std::string_view tensor);

struct BlockCosts {
  uint64_t params = 0;           // With tied embeddings the shared matrix counts in both blocks.
  uint64_t flops_per_token = 0;  // Of the products with weights; two for each weight of a matrix,
                                 // of experts for those that a token chooses.
  uint64_t attention_flops_per_position = 0;  // More for every position that a token attends to.
  uint64_t kv_values_per_token = 0;           // Keys and values together.
};
BlockCosts CostsOf(const Architecture& arch, uint32_t block);

// Parameters of the whole model, a shared matrix counted once.
uint64_t TotalParams(const Architecture& arch);

}  // namespace shoal::model
