#include "onnx/model.h"

#include "base/check.h"

namespace shoal::onnx {

std::optional<int64_t> CheckedElementCount(std::span<const int64_t> dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count)) return std::nullopt;
  }
  return count;
}

int64_t Tensor::ElementCount() const {
  const std::optional<int64_t> count = CheckedElementCount(dims);
  CHECK_MSG(count.has_value(), name);
  return *count;
}

const Attribute* Node::FindAttribute(std::string_view attribute_name) const {
  for (const Attribute& attribute : attributes) {
    if (attribute.name == attribute_name) return &attribute;
  }
  return nullptr;
}

int64_t Node::IntAttribute(std::string_view attribute_name, int64_t otherwise) const {
  const Attribute* attribute = FindAttribute(attribute_name);
  if (attribute == nullptr) return otherwise;
  const auto* value = std::get_if<int64_t>(&attribute->value);
  return value != nullptr ? *value : otherwise;
}

float Node::FloatAttribute(std::string_view attribute_name, float otherwise) const {
  const Attribute* attribute = FindAttribute(attribute_name);
  if (attribute == nullptr) return otherwise;
  const auto* value = std::get_if<float>(&attribute->value);
  return value != nullptr ? *value : otherwise;
}

}  // namespace shoal::onnx
