// Writes a Model as an ONNX file (a serialised onnx.ModelProto).
//
// Deterministic: the same model gives the same bytes, fields in the order of their numbers and
// repeated numbers unpacked, which is also what the protobuf library writes for onnx.proto.
// Parse(Serialize(model)) == model, for every model that Check accepts. Inline tensors are written
// as raw_data, whatever they were read from.
#pragma once

#include "base/bytes.h"
#include "onnx/model.h"

namespace shoal::onnx {

ByteVector Serialize(const Model& model);

}  // namespace shoal::onnx
