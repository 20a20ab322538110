#include "store/stage_variant.h"

#include <algorithm>
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

Result<std::vector<size_t>> FindWeightSets(const Manifest& manifest, std::string_view names) {
  if (names.empty()) return std::vector<size_t>{0};
  std::vector<size_t> sets;
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    const std::string_view name = names.substr(begin, end - begin);
    if (name.empty()) return Fail(Code::kInvalidArgument, "a set of weights has a name");
    ASSIGN_OR_RETURN(const size_t set, FindWeights(manifest, name));
    sets.push_back(set);
    begin = end + 1;
  }
  return sets;
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
