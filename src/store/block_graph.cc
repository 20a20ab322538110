#include "store/block_graph.h"

#include <algorithm>

#include "base/str_cat.h"
#include "onnx/read.h"

namespace shoal::store {

Result<onnx::Model> ReadGraph(const Pack& pack, const Sha256& graph,
                              std::span<const Sha256> weights, const std::string& who) {
  ASSIGN_OR_RETURN(const model::MappedFile file, pack.MapBlob(graph));
  if (HashBytes(file.bytes()) != graph) {
    return Fail(Code::kDataLoss, StrCat(who, ": the graph does not have the hash it is named by"));
  }
  auto model = onnx::Parse(file.bytes());
  if (!model) return FailWithContext(std::move(model).error(), who);
  for (const onnx::Tensor& tensor : model->graph.initializers) {
    if (!tensor.external) continue;
    const auto blob = std::ranges::find_if(
        weights, [&](const Sha256& sha) { return Hex(sha) == tensor.external->location; });
    const uint64_t bytes = blob != weights.end() ? pack.FindBlob(*blob)->bytes : 0;
    if (blob == weights.end() || tensor.external->offset > bytes ||
        tensor.external->length > bytes - tensor.external->offset) {
      return Fail(Code::kDataLoss, StrCat(who, ": weight \"", tensor.name,
                                          "\" does not lie in a blob of the block"));
    }
  }
  return std::move(*model);
}

}  // namespace shoal::store
