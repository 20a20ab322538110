// Reads an ONNX file (a serialised onnx.ModelProto) into a Model.
//
// The bytes are hostile until proved otherwise: truncated or overlapping fields, endless counts,
// several values of a field that holds one, typed data that does not fit its element type and
// names that are not text are refused, with a sentence that says where. Memory use is bounded by
// kMaxModelBytes and kMaxParts. The bytes may be freed afterwards: a Model owns what it holds.
//
// Parse makes sure that every single message is sound; Check (check.h) that they fit together.
//
// Held: what onnx/model.h has. Read and forgotten: doc strings, model version, unknown fields,
// graph inputs that an initialiser gives a default (they become constants). Refused by name:
// sub-graphs in attributes, local functions, training information, sparse initialisers, sequence,
// map and optional types, values without a shape, tensors of element types outside tensor/dtype.h.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "onnx/model.h"

namespace shoal::onnx {

// Weights are external, so that the largest graphs stay well below this.
inline constexpr size_t kMaxModelBytes = 128 << 20;
// Nodes, values, tensors, attributes, dims and names of a model, all together.
inline constexpr size_t kMaxParts = 2 << 20;
// Of any name; attribute values are longer.
inline constexpr size_t kMaxNameBytes = 1024;
inline constexpr size_t kMaxRank = 16;

// kInvalidArgument for malformed bytes, kUnimplemented for what Shoal does not hold,
// kResourceExhausted past one of the limits above.
Result<Model> Parse(Bytes bytes);

}  // namespace shoal::onnx
