// Which of a model's forms a graph is: the pack's weights it names, and what it computes in.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "onnx/model.h"
#include "store/manifest.h"

namespace shoal::store {

// The type in which a stage computes and keeps its KV caches. Hidden states and logits, and what
// goes to experts elsewhere and comes back, are float32 at its borders in either case.
enum class Activations : uint8_t { kF32, kF16 };

// Which of a model's forms a stage is.
struct StageVariant {
  size_t weights = 0;  // Index into Manifest::variants.
  Activations activations = Activations::kF32;
  auto operator<=>(const StageVariant&) const = default;
};

// The index of the pack's variant with these weights ("q4"; empty: the first); kNotFound names
// those that there are.
Result<size_t> FindWeights(const Manifest& manifest, std::string_view weights);
// Several, by names separated by commas, in their order; empty: the first alone. Errors as of
// FindWeights, and kInvalidArgument for an empty name among them.
Result<std::vector<size_t>> FindWeightSets(const Manifest& manifest, std::string_view names);

// What to join for a device that runs float16: kF16 where that loses little and saves something.
// Weights in float32 ask for float32, and Gemma's hidden states pass float16's range.
Activations NarrowestActivations(const Manifest& manifest, size_t weights);

// A joined graph as it computes in these activations; kUnimplemented where it cannot.
Result<onnx::Model> InActivations(onnx::Model model, Activations activations);

}  // namespace shoal::store
