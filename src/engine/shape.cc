#include "engine/shape.h"

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::engine {

std::optional<Extent> ElementCount(std::span<const Extent> shape) {
  Extent count;
  for (const Extent& extent : shape) {
    if (__builtin_mul_overflow(count.factor, extent.factor, &count.factor) ||
        count.factor > uint64_t{1} << 40) {
      return std::nullopt;
    }
    if (extent.unit == Unit::kOne) continue;
    if (count.unit != Unit::kOne) return std::nullopt;
    count.unit = extent.unit;
  }
  return count;
}

Dims DimsIn(const Shape& shape, const RunCounts& counts) {
  CHECK(shape.size() <= kShapeRankMax);
  Dims dims = {};
  for (size_t d = 0; d < shape.size(); ++d) dims[d] = shape[d].In(counts);
  return dims;
}

std::string ToString(const Shape& shape) {
  std::string text = "[";
  for (size_t d = 0; d < shape.size(); ++d) {
    const Extent& extent = shape[d];
    if (d > 0) text += ", ";
    const char* unit = extent.unit == Unit::kRows ? "rows" : "selected";
    if (extent.IsFixed()) {
      text += StrCat(extent.factor);
    } else {
      text += extent.factor == 1 ? std::string(unit) : StrCat(extent.factor, " ", unit);
    }
  }
  return text + "]";
}

}  // namespace shoal::engine
