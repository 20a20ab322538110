#include "model/stored_tensors.h"

#include "base/check.h"
#include "base/str_cat.h"
#include "tensor/convert.h"

namespace shoal::model {

std::vector<std::string> NamesEndingWith(const TensorMap& tensors, std::string_view ending) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    if (name.ends_with(ending)) names.push_back(name.substr(0, name.size() - ending.size()));
  }
  return names;
}

Result<const TensorView*> NeedPart(const TensorMap& tensors, std::string_view name, DType type,
                                   size_t dims, std::string_view owner) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) {
    return Fail(Code::kInvalidArgument, StrCat("tensor \"", name, "\", which belongs to \"", owner,
                                               "\", is missing from the checkpoint"));
  }
  const TensorView& tensor = found->second;
  if (tensor.type != type || tensor.shape.size() != dims || tensor.encoding != nullptr) {
    return Fail(Code::kInvalidArgument, StrCat("tensor \"", name, "\" is ", DTypeName(tensor.type),
                                               " ", ShowShape(tensor.shape), "; expected ",
                                               DTypeName(type), " of ", dims, " dims"));
  }
  return &tensor;
}

Status CheckShape(const TensorView& tensor, const std::vector<uint64_t>& expected,
                  std::string_view why) {
  if (tensor.shape == expected) return {};
  return Fail(Code::kInvalidArgument,
              StrCat("tensor \"", tensor.name, "\" has shape ", ShowShape(tensor.shape),
                     "; expected ", ShowShape(expected), ", ", why));
}

Status Replace(TensorMap& tensors, const std::vector<std::string>& parts, std::string_view name,
               std::vector<uint64_t> shape, std::shared_ptr<const Encoding> encoding) {
  CHECK(!parts.empty() && encoding != nullptr && !encoding->stored().empty());
  for (const std::string& part : parts) tensors.erase(part);
  TensorView view{.name = std::string(name),
                  .type = DType::kF32,
                  .shape = std::move(shape),
                  .data = encoding->stored().front(),
                  .encoding = std::move(encoding)};
  if (!tensors.emplace(std::string(name), std::move(view)).second) {
    return Fail(Code::kInvalidArgument,
                StrCat("the checkpoint holds \"", name, "\" both as it is and quantised"));
  }
  return {};
}

bool IsFloat(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

float FloatAt(const TensorView& tensor, uint64_t index) {
  const size_t element = DTypeBytes(tensor.type);
  float value = 0;
  ToF32(tensor.type, tensor.data.subspan(index * element, element), {&value, 1});
  return value;
}

}  // namespace shoal::model
