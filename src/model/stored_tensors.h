// What the readers of quantised formats have in common: the tensors of a checkpoint by name, of
// which they take the stored parts away and put the tensor that these stand for in their place.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/encoding.h"
#include "model/safetensors.h"

namespace shoal::model {

using TensorMap = std::map<std::string, TensorView, std::less<>>;

// Inputs that share a scale, as far as a configuration may say.
inline constexpr uint64_t kMaxGroup = 1u << 20;

// The names that end with `ending`, without it.
std::vector<std::string> NamesEndingWith(const TensorMap& tensors, std::string_view ending);

// A tensor that must be there, of this type and number of dims. kInvalidArgument names it and
// `owner`, whose part it is.
Result<const TensorView*> NeedPart(const TensorMap& tensors, std::string_view name, DType type,
                                   size_t dims, std::string_view owner);

// kInvalidArgument unless the shape is as expected.
Status CheckShape(const TensorView& tensor, const std::vector<uint64_t>& expected,
                  std::string_view why);

// Erases the parts and adds the tensor `name`. kInvalidArgument when there is such a tensor too.
Status Replace(TensorMap& tensors, const std::vector<std::string>& parts, std::string_view name,
               std::vector<uint64_t> shape, std::shared_ptr<const Encoding> encoding);

// Element `index` of a float tensor of any float type.
float FloatAt(const TensorView& tensor, uint64_t index);
bool IsFloat(DType type);

// Little-endian, of any alignment.
inline uint32_t Word32At(Bytes data, uint64_t index) {
  uint32_t value;
  std::memcpy(&value, data.data() + index * sizeof(value), sizeof(value));
  return value;
}

}  // namespace shoal::model
