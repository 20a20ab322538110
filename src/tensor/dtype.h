// Element types of tensors, and their numbers in ONNX files.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace shoal {

// Values are those of onnx.TensorProto.DataType (onnx.proto3).
enum class DType : uint8_t {
  kF32 = 1,
  kU8 = 2,
  kI8 = 3,
  kI32 = 6,
  kI64 = 7,
  kBool = 9,
  kF16 = 10,
  kF64 = 11,
  kBF16 = 16,
  kF8E4M3 = 17,
};

// Bytes of one element.
size_t DTypeBytes(DType type);
// "f32", "bf16", ...
std::string_view DTypeName(DType type);
// The inverse of DTypeName; nothing for an unknown name.
std::optional<DType> ParseDType(std::string_view name);
// The type with this ONNX number, if Shoal knows it.
std::optional<DType> DTypeFromOnnx(int32_t number);

}  // namespace shoal
