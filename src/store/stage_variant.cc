#include "store/stage_variant.h"

#include <string>
#include <utility>

#include "base/str_cat.h"
#include "onnx/narrow.h"

namespace shoal::store {

Result<size_t> FindWeights(const Manifest& manifest, std::string_view weights) {
  if (weights.empty()) return size_t{0};
  std::string names;
  for (size_t i = 0; i < manifest.variants.size(); ++i) {
    if (manifest.variants[i].weights == weights) return i;
    names += StrCat(names.empty() ? "" : ", ", manifest.variants[i].weights);
  }
  return Fail(Code::kNotFound, StrCat("the pack has no ", weights, " weights; it has ", names));
}

Activations NarrowestActivations(const Manifest& manifest, size_t weights) {
  const bool wide = manifest.variants[weights].weights == "f32" ||
                    std::string_view(manifest.model.family).starts_with("gemma");
  return wide ? Activations::kF32 : Activations::kF16;
}

Result<onnx::Model> InActivations(onnx::Model model, Activations activations) {
  if (activations == Activations::kF32) return model;
  const auto is_cache = [](std::string_view name) {
    return name.starts_with("past.") || name.starts_with("present.");
  };
  return onnx::NarrowToF16(model, [&](std::string_view name) { return !is_cache(name); });
}

}  // namespace shoal::store
