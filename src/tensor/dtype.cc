#include "tensor/dtype.h"

#include <iterator>

namespace shoal {

namespace {
struct Entry {
  DType type;
  size_t bytes;
  std::string_view name;
};
constexpr Entry kEntries[] = {
    {DType::kF32, 4, "f32"},       {DType::kU8, 1, "u8"},   {DType::kI8, 1, "i8"},
    {DType::kI32, 4, "i32"},       {DType::kI64, 8, "i64"}, {DType::kBool, 1, "bool"},
    {DType::kF16, 2, "f16"},       {DType::kF64, 8, "f64"}, {DType::kBF16, 2, "bf16"},
    {DType::kF8E4M3, 1, "f8e4m3"},
};

const Entry& Find(DType type) {
  for (const Entry& entry : kEntries) {
    if (entry.type == type) return entry;
  }
  __builtin_trap();
}
}  // namespace

size_t DTypeBytes(DType type) { return Find(type).bytes; }

std::string_view DTypeName(DType type) { return Find(type).name; }

std::optional<DType> ParseDType(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.type;
  }
  return std::nullopt;
}

std::optional<DType> DTypeFromOnnx(int32_t number) {
  for (const Entry& entry : kEntries) {
    if (static_cast<int32_t>(entry.type) == number) return entry.type;
  }
  return std::nullopt;
}

}  // namespace shoal
