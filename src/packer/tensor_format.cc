#include "packer/tensor_format.h"

#include "base/str_cat.h"
#include "packer/float_format.h"

namespace shoal::packer {

uint64_t StoredPart::bytes() const {
  uint64_t count = DTypeBytes(type);
  for (const int64_t dim : dims) count *= static_cast<uint64_t>(dim);
  return count;
}

Result<std::unique_ptr<TensorFormat>> MakeTensorFormat(std::string_view name) {
  if (name == "f32") return std::make_unique<FloatFormat>(DType::kF32);
  if (name == "f16") return std::make_unique<FloatFormat>(DType::kF16);
  if (name == "q8" || name == "q4") {
    return Fail(
        Code::kUnimplemented,
        StrCat("weights in ", name, " are not yet supported by this version; use f32 or", " f16"));
  }
  return Fail(Code::kInvalidArgument,
              StrCat("\"", name, "\" is not a weight format; formats: f32, f16, q8, q4"));
}

}  // namespace shoal::packer
