// Whether a model fits together: what Join, the engine and ONNX Runtime take for granted.
//
// - The IR version is one that Shoal knows, every domain is imported once, and the domain of every
//   node is imported.
// - Values have one maker each: no name is shared by inputs, initialisers and node outputs.
//   Non-empty node names, graph inputs and outputs are unique.
// - Every node input is a graph input, an initialiser or the output of an earlier node
//   (topological order); every graph output is the output of a node.
// - Dims are names or at least 0. Initialisers hold exactly as many bytes as their type and dims
//   ask for; an external one has a location, and its range can be counted in 64 bits.
//
// It does not know what any operator means: shapes between nodes are the executor's affair.
#pragma once

#include "base/result.h"
#include "onnx/model.h"

namespace shoal::onnx {

// onnx.proto versions whose models mean what Shoal thinks they mean. Initialisers need not be graph
// inputs since 4.
inline constexpr int64_t kIrVersionMin = 4;
inline constexpr int64_t kIrVersionMax = 10;

// kInvalidArgument naming the offender; kUnimplemented for an IR version that is not known.
Status Check(const Model& model);

}  // namespace shoal::onnx
