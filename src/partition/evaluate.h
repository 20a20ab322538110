// Runs ONNX operators on known arrays, and shapes through them where the elements are not known.
//
// It is what the partitioner learns a graph by: with the tokens and caches given as shapes only,
// everything that comes out known depends on nothing but how long the rows are: masks, positions,
// the shapes of reshapes. With elements given to the inputs of a part of the graph, it tells what
// that part computes. Speed matters little: only small samples are run.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "onnx/model.h"
#include "partition/array.h"

namespace shoal::partition {

// The outputs of a node. `inputs` has null for omitted ones. kUnimplemented for an operator that
// is not known, kInvalidArgument for one that is wrong; both without the node's name.
Result<std::vector<Array>> Evaluate(const onnx::Node& node, std::span<const Array* const> inputs,
                                    int64_t opset);

using Bindings = std::unordered_map<std::string, Array>;

// Evaluates nodes of `graph`, in its order, as far as `targets` need them; values in `bindings`
// are not computed and the result holds them too, so that a later call can go on from there.
// Errors name the node.
Status EvaluateTo(const onnx::Graph& graph, int64_t opset, std::span<const std::string> targets,
                  Bindings& bindings);

// kInvalidArgument, with what is wrong.
std::unexpected<Error> Wrong(std::string detail);

}  // namespace shoal::partition
