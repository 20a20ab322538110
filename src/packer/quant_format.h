// Weights in blocks of 32 codes with one f16 scale each (tensor/blocks.h): 4.5 bits a weight in q4,
// 8.5 in q8.
//
// A matrix or table [rows, columns], columns a multiple of 32, becomes two parts, rows in order, as
// ONNX Runtime's MatMulNBits and GatherBlockQuantized read them:
//   ".codes"   u8  [rows, columns / 32, 16 or 32], of an embedding [rows, their product]
//   ".scales"  f16 [rows, columns / 32], cast to float32 in the graph
// and a stack of experts [experts, rows, columns], as QMoE reads it,
//   ".codes"   u8  [experts, rows, columns / 2 or columns]
//   ".scales"  f16 [experts, rows, columns / 32]
//
// Blocks that the checkpoint stores as codes already are kept as they are where they fit
// (coded_block.h): symmetric ones of as many bits always do, others mostly in q8.
#pragma once

#include "packer/tensor_format.h"
#include "tensor/blocks.h"

namespace shoal::packer {

class QuantFormat : public TensorFormat {
 public:
  explicit QuantFormat(BlockFormat format) : format_(format) {}

  std::string_view name() const override;
  // kMatrix, kEmbedding and kExperts.
  std::vector<StoredPart> Parts(model::WeightKind kind,
                                const std::vector<uint64_t>& shape) const override;
  // Quantises on all cores; the bytes do not depend on how many there are.
  Status Write(model::WeightKind kind, model::WeightReader& weight,
               store::BlobWriter& blob) const override;
  std::string AddProduct(GraphBuilder& graph, const std::string& name, const std::string& input,
                         const PlacedWeight& weight, const std::string& output) const override;
  // None: the stacks of heads' matrices are not stored in blocks.
  std::string AddHeadProduct(GraphBuilder& graph, const std::string& name, const std::string& input,
                             const PlacedWeight& weight) const override;
  std::string AddExperts(GraphBuilder& graph, const std::string& name, const ExpertInputs& inputs,
                         std::vector<onnx::Attribute> attributes) const override;
  void AddLookup(GraphBuilder& graph, const std::string& name, const std::string& ids,
                 const PlacedWeight& weight, const std::string& output) const override;

 private:
  // The scales as float32.
  std::string AddScales(GraphBuilder& graph, const std::string& name,
                        const PlacedWeight& weight) const;

  BlockFormat format_;
};

}  // namespace shoal::packer
