// Joins the graphs of consecutive blocks into the graph of a stage, by value name.
//
// - A graph input that an earlier block gives as a graph output becomes internal: it leaves the
//   inputs and the outputs and is noted in value_info. Both blocks must agree on its type and dims.
// - Other inputs stay, in the order of their first appearance; blocks that share one must agree on
//   its type and dims.
// - Outputs that no later block reads stay, in the order of the blocks.
// - Initialisers of one name must be identical (type, dims, and bytes or external range) and are
//   kept once; an initialiser also takes the place of other blocks' inputs of its name.
// - Nodes follow one another in the order of the blocks.
// - The IR version must be the same everywhere; so must the version of every domain that several
//   blocks import. The producer is the first block's. Metadata stay where all blocks that have a
//   key agree on its value, and go otherwise.
//
// Joining is associative as far as the graph goes: Join(Join(a, b), c) runs as Join(a, b, c).
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "onnx/model.h"

namespace shoal::onnx {

// Every block must pass Check, and so does the result. kInvalidArgument says which block and which
// value do not fit.
Result<Model> Join(std::span<const Model> blocks, std::string_view name);

// Turns the graph input called tensor.name into an initialiser, when the input's type and dims
// allow it (a named dim allows any number). kNotFound if there is no such input.
Status BindInput(Model& model, Tensor tensor);

}  // namespace shoal::onnx
