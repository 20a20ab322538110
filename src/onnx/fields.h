// Field numbers of onnx.proto (IR version 10) that the reader and the writer share. One namespace
// per message; what is not listed is skipped by the reader and never written.
#pragma once

#include <cstdint>

namespace shoal::onnx::fields {

namespace model {
inline constexpr uint32_t kIrVersion = 1;
inline constexpr uint32_t kProducerName = 2;
inline constexpr uint32_t kGraph = 7;
inline constexpr uint32_t kOpsetImport = 8;
inline constexpr uint32_t kMetadata = 14;
inline constexpr uint32_t kTrainingInfo = 20;
inline constexpr uint32_t kFunctions = 25;
}  // namespace model

namespace opset {
inline constexpr uint32_t kDomain = 1;
inline constexpr uint32_t kVersion = 2;
}  // namespace opset

// StringStringEntryProto: metadata and external data.
namespace entry {
inline constexpr uint32_t kKey = 1;
inline constexpr uint32_t kValue = 2;
}  // namespace entry

namespace graph {
inline constexpr uint32_t kNode = 1;
inline constexpr uint32_t kName = 2;
inline constexpr uint32_t kInitializer = 5;
inline constexpr uint32_t kInput = 11;
inline constexpr uint32_t kOutput = 12;
inline constexpr uint32_t kValueInfo = 13;
inline constexpr uint32_t kSparseInitializer = 15;
}  // namespace graph

namespace node {
inline constexpr uint32_t kInput = 1;
inline constexpr uint32_t kOutput = 2;
inline constexpr uint32_t kName = 3;
inline constexpr uint32_t kOpType = 4;
inline constexpr uint32_t kAttribute = 5;
inline constexpr uint32_t kDomain = 7;
inline constexpr uint32_t kOverload = 8;
}  // namespace node

namespace attribute {
inline constexpr uint32_t kName = 1;
inline constexpr uint32_t kFloat = 2;
inline constexpr uint32_t kInt = 3;
inline constexpr uint32_t kString = 4;
inline constexpr uint32_t kTensor = 5;
inline constexpr uint32_t kGraph = 6;
inline constexpr uint32_t kFloats = 7;
inline constexpr uint32_t kInts = 8;
inline constexpr uint32_t kStrings = 9;
inline constexpr uint32_t kGraphs = 11;
inline constexpr uint32_t kType = 20;
inline constexpr uint32_t kRefName = 21;
}  // namespace attribute

// AttributeProto.AttributeType.
enum class AttributeType : int32_t {
  kFloat = 1,
  kInt = 2,
  kString = 3,
  kTensor = 4,
  kGraph = 5,
  kFloats = 6,
  kInts = 7,
  kStrings = 8,
  kGraphs = 10,
};

namespace tensor {
inline constexpr uint32_t kDims = 1;
inline constexpr uint32_t kDataType = 2;
inline constexpr uint32_t kSegment = 3;
inline constexpr uint32_t kFloatData = 4;
inline constexpr uint32_t kInt32Data = 5;
inline constexpr uint32_t kStringData = 6;
inline constexpr uint32_t kInt64Data = 7;
inline constexpr uint32_t kName = 8;
inline constexpr uint32_t kRawData = 9;
inline constexpr uint32_t kDoubleData = 10;
inline constexpr uint32_t kUint64Data = 11;
inline constexpr uint32_t kExternalData = 13;
inline constexpr uint32_t kDataLocation = 14;
inline constexpr uint64_t kLocationExternal = 1;
}  // namespace tensor

namespace value_info {
inline constexpr uint32_t kName = 1;
inline constexpr uint32_t kType = 2;
}  // namespace value_info

namespace type {
inline constexpr uint32_t kTensorType = 1;
inline constexpr uint32_t kElementType = 1;  // Of TypeProto.Tensor.
inline constexpr uint32_t kShape = 2;        // Of TypeProto.Tensor.
inline constexpr uint32_t kDim = 1;          // Of TensorShapeProto.
inline constexpr uint32_t kDimValue = 1;     // Of TensorShapeProto.Dimension.
inline constexpr uint32_t kDimParam = 2;     // Of TensorShapeProto.Dimension.
}  // namespace type

}  // namespace shoal::onnx::fields
