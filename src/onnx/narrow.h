// Makes the float16 form of a graph that computes in float32, for devices that do float16
// arithmetic faster and with half the memory traffic.
//
// - Every float32 value becomes float16, but what routers and experts compute in stays: rounding
//   there would change who is chosen. Graph inputs and outputs change their type too (KV
//   caches), except those that stay: they are cast on the way in and out (hidden states, logits).
// - A Cast to float32 of what is float16 already (scales and matrices that are stored so) goes.
// - External float32 initialisers are cast in the graph, others are converted in place.
//
// Names of inputs, outputs, initialisers and of the values between blocks stay.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "onnx/model.h"

namespace shoal::onnx {

// `stays` is asked for the names of float32 graph inputs and outputs. `model` must pass Check, and
// so does the result. kUnimplemented for an operator that is not known to bear float16, and for an
// output that does not stay and is computed in float32.
Result<Model> NarrowToF16(const Model& model, const std::function<bool(std::string_view)>& stays);

}  // namespace shoal::onnx
