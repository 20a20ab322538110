#include "partition/array.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/str_cat.h"

namespace shoal::partition {

namespace {

constexpr int64_t kMaxCount = int64_t{1} << 40;

}  // namespace

int64_t Array::count() const {
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  return count;
}

bool IsFloat(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || type == DType::kF64;
}

Result<int64_t> CountOf(std::span<const int64_t> dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) {
    if (dim < 0) return Fail(Code::kInvalidArgument, StrCat("a dim of ", dim));
    if (dim > 0 && count > kMaxCount / dim) {
      return Fail(Code::kResourceExhausted, "a value of more than 2^40 elements");
    }
    count *= dim;
  }
  return count;
}

Array MakeArray(DType type, std::vector<int64_t> dims, std::vector<double> values) {
  if (IsFloat(type) && type != DType::kF64) {
    for (double& value : values) value = static_cast<double>(static_cast<float>(value));
  } else if (type == DType::kBool) {
    for (double& value : values) value = value != 0 ? 1 : 0;
  } else if (!IsFloat(type)) {
    for (double& value : values) value = std::trunc(value);
  }
  return {type, std::move(dims), std::make_shared<const std::vector<double>>(std::move(values))};
}

Array ShapeOnly(DType type, std::vector<int64_t> dims) { return {type, std::move(dims), nullptr}; }

int64_t ToInt(double value) {
  constexpr double kEdge = 9.2233720368547748e18;
  if (std::isnan(value)) return 0;
  if (value >= kEdge) return std::numeric_limits<int64_t>::max();
  if (value <= -kEdge) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

std::vector<int64_t> ToInts(const Array& array) {
  std::vector<int64_t> ints;
  for (const double value : *array.data) ints.push_back(ToInt(value));
  return ints;
}

std::vector<int64_t> StridesOf(std::span<const int64_t> dims) {
  std::vector<int64_t> strides(dims.size());
  int64_t stride = 1;
  for (size_t d = dims.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= dims[d];
  }
  return strides;
}

std::vector<int64_t> BroadcastStrides(std::span<const int64_t> dims,
                                      std::span<const int64_t> wide) {
  const std::vector<int64_t> own = StridesOf(dims);
  const size_t lead = wide.size() - dims.size();
  std::vector<int64_t> strides(wide.size(), 0);
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] != 1) strides[lead + d] = own[d];
  }
  return strides;
}

Result<std::vector<int64_t>> BroadcastDims(std::span<const int64_t> a, std::span<const int64_t> b) {
  std::vector<int64_t> wide(std::max(a.size(), b.size()), 1);
  for (const std::span<const int64_t> dims : {a, b}) {
    const size_t lead = wide.size() - dims.size();
    for (size_t d = 0; d < dims.size(); ++d) {
      int64_t& dim = wide[lead + d];
      if (dim != 1 && dims[d] != 1 && dim != dims[d]) {
        return Fail(Code::kInvalidArgument, StrCat("dims ", dim, " and ", dims[d], " do not fit"));
      }
      if (dim == 1) dim = dims[d];
    }
  }
  return wide;
}

}  // namespace shoal::partition
