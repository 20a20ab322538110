// Plain float weights: f32 or f16. Matrices are transposed to [inputs, outputs]; vectors (norms and
// biases, which are small) always are f32.
#pragma once

#include "packer/tensor_format.h"

namespace shoal::packer {

class FloatFormat : public TensorFormat {
 public:
  // `type`: kF32 or kF16.
  explicit FloatFormat(DType type);

  std::string_view name() const override;
  std::vector<StoredPart> Parts(model::WeightKind kind,
                                const std::vector<uint64_t>& shape) const override;
  Status Write(model::WeightKind kind, model::WeightReader& weight,
               store::BlobWriter& blob) const override;
  std::string AddProduct(GraphBuilder& graph, const std::string& name, const std::string& input,
                         const PlacedWeight& weight, const std::string& output) const override;
  std::string AddHeadProduct(GraphBuilder& graph, const std::string& name, const std::string& input,
                             const PlacedWeight& weight) const override;
  std::string AddExperts(GraphBuilder& graph, const std::string& name, const ExpertInputs& inputs,
                         std::vector<onnx::Attribute> attributes) const override;
  void AddLookup(GraphBuilder& graph, const std::string& name, const std::string& ids,
                 const PlacedWeight& weight, const std::string& output) const override;

 private:
  // The stored matrix, widened if need be.
  std::string AddMatrix(GraphBuilder& graph, const std::string& name,
                        const PlacedWeight& weight) const;

  DType type_;
};

}  // namespace shoal::packer
