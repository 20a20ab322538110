// How a pack stores weights, and the graph nodes that use them in that form. A new weight format
// (--weights q4) is a new TensorFormat.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/weight_reader.h"
#include "model/weights.h"
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

class TensorFormat {
 public:
  virtual ~TensorFormat() = default;

  // As in --weights and in the manifest.
  virtual std::string_view name() const = 0;

  // The initialisers of a weight of this kind and shape (model::WeightSpec). A matrix [outputs,
  // inputs] is stored so that it can stand on the right of a product.
  virtual std::vector<StoredPart> Parts(model::WeightKind kind,
                                        const std::vector<uint64_t>& shape) const = 0;

  // Writes the parts, each aligned to kPartAlignment. Streams: it holds at most a few tens of MiB
  // besides the tensor's own pages. kInvalidArgument naming the tensor when it holds a value that
  // is not finite or that the format cannot hold. A stack of experts is written slice by slice; the
  // reader gives every slice as often as it is asked. `kind` is how the weight is stored.
  virtual Status Write(model::WeightKind kind, model::WeightReader& weight,
                       store::BlobWriter& blob) const = 0;

  // Adds nodes, called `name` or starting with it, that multiply value `input` by the stored
  // matrix. `parts` are the names of its initialisers. Returns the product's name, which is
  // `output`, or of the builder's choosing when that is empty.
  virtual std::string AddProduct(GraphBuilder& graph, const std::string& name,
                                 const std::string& input, const std::vector<std::string>& parts,
                                 const std::string& output) const = 0;

  // The same for a stack of matrices, kHeads: [batch, heads, sequence, inputs] to [batch, heads,
  // sequence, outputs].
  virtual std::string AddHeadProduct(GraphBuilder& graph, const std::string& name,
                                     const std::string& input,
                                     const std::vector<std::string>& parts) const = 0;

  // The same for com.microsoft's MoE over stacks of experts, kExperts, or an operator that means
  // the same over stored ones. Returns the value [batch, sequence, hidden].
  struct ExpertInputs {
    std::string rows;              // [batch, sequence, hidden]
    std::string scores;            // [batch * sequence, experts]: their softmax weighs the experts.
    std::vector<std::string> in;   // Parts of [experts, 2 * intermediate, hidden].
    std::string in_bias;           // Empty for none.
    std::vector<std::string> out;  // Parts of [experts, hidden, intermediate].
    std::string out_bias;
  };
  virtual std::string AddExperts(GraphBuilder& graph, const std::string& name,
                                 const ExpertInputs& inputs,
                                 std::vector<onnx::Attribute> attributes) const = 0;

  // The same for rows of a table picked by the int32 value `ids` [batch, sequence]: float32 [batch,
  // sequence, hidden]. `kind` says whether the table is stored as an embedding or as a matrix.
  virtual void AddLookup(GraphBuilder& graph, const std::string& name, const std::string& ids,
                         const std::vector<std::string>& parts, model::WeightKind kind,
                         const std::string& output) const = 0;
};

// "f32", "f16"; kUnimplemented for formats that are planned, kInvalidArgument for other names.
Result<std::unique_ptr<TensorFormat>> MakeTensorFormat(std::string_view name);

}  // namespace shoal::packer
