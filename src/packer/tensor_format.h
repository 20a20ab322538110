// How a pack stores a weight, and the graph nodes that use it in that form. A new way of storing is
// a new TensorFormat; recipe.h says which weights of a pack are stored in which.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/weight_reader.h"
#include "model/weights.h"
#include "onnx/model.h"
#include "packer/graph_builder.h"
#include "store/blob_writer.h"

namespace shoal::packer {

// One initialiser of a stored weight. A block format stores one weight as several (values, scales).
struct StoredPart {
  std::string suffix;  // After the weight's name; "" for the only or main part.
  DType type = DType::kF32;
  std::vector<int64_t> dims;

  uint64_t bytes() const;
};

inline constexpr uint64_t kPartAlignment = 64;

class TensorFormat;

// A weight of a block, as it is stored.
struct PlacedWeight {
  model::WeightSpec spec;
  // A tied table is a matrix in the embedding block too.
  model::WeightKind stored_as = model::WeightKind::kMatrix;
  const TensorFormat* format = nullptr;
  // TensorFormat::Parts, as external initialisers.
  std::vector<onnx::Tensor> parts;
};

class TensorFormat {
 public:
  virtual ~TensorFormat() = default;

  // "f32", "q4", ...
  virtual std::string_view name() const = 0;

  // The initialisers of a weight of this kind and shape (model::WeightSpec). A matrix [outputs,
  // inputs] is stored so that it can stand on the right of a product.
  virtual std::vector<StoredPart> Parts(model::WeightKind kind,
                                        const std::vector<uint64_t>& shape) const = 0;

  // Writes the parts, each aligned to kPartAlignment. Streams: besides the tensor's own pages it
  // holds at most an eighth of their size and a few tens of MiB. kInvalidArgument naming the tensor
  // when it holds a value that is not finite or that the format cannot hold. A stack of experts is
  // written slice by slice; the reader gives every slice as often as it is asked. `kind` is how the
  // weight is stored.
  virtual Status Write(model::WeightKind kind, model::WeightReader& weight,
                       store::BlobWriter& blob) const = 0;

  // Adds the weight's initialisers, and nodes, called `name` or starting with it, that multiply
  // value `input` by the stored matrix. Returns the product's name, which is `output`, or of the
  // builder's choosing when that is empty.
  virtual std::string AddProduct(GraphBuilder& graph, const std::string& name,
                                 const std::string& input, const PlacedWeight& weight,
                                 const std::string& output) const = 0;

  // The same for a stack of matrices, kHeads: [batch, heads, sequence, inputs] to [batch, heads,
  // sequence, outputs].
  virtual std::string AddHeadProduct(GraphBuilder& graph, const std::string& name,
                                     const std::string& input,
                                     const PlacedWeight& weight) const = 0;

  // The same for com.microsoft's MoE over stacks of experts, kExperts, or an operator that means
  // the same over stored ones. Returns the value [batch, sequence, hidden].
  struct ExpertInputs {
    std::string rows;    // [batch, sequence, hidden]
    std::string scores;  // [batch * sequence, experts]: their softmax weighs the experts.
    const PlacedWeight* in = nullptr;   // [experts, 2 * intermediate, hidden]; of this format.
    std::string in_bias;                // Empty for none.
    const PlacedWeight* out = nullptr;  // [experts, hidden, intermediate]; of this format.
    std::string out_bias;
  };
  virtual std::string AddExperts(GraphBuilder& graph, const std::string& name,
                                 const ExpertInputs& inputs,
                                 std::vector<onnx::Attribute> attributes) const = 0;

  // The same for rows of a table, stored as an embedding or as a matrix, that are picked by the
  // int32 value `ids` [batch, sequence]: float32 [batch, sequence, hidden].
  virtual void AddLookup(GraphBuilder& graph, const std::string& name, const std::string& ids,
                         const PlacedWeight& weight, const std::string& output) const = 0;
};

}  // namespace shoal::packer
