// A tensor as the evaluator sees it: its type and dims, and its elements where they are known.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace shoal::partition {

// Elements of one array whose contents are computed, of all of one evaluation, and products that
// one node sums up, at most: what a hostile graph can ask for.
inline constexpr int64_t kMaxElements = int64_t{1} << 24;
inline constexpr int64_t kMaxElementsTogether = int64_t{1} << 26;
inline constexpr int64_t kMaxProducts = int64_t{1} << 28;

struct Array {
  DType type = DType::kF32;
  std::vector<int64_t> dims;
  // Row-major; null where only the shape is known. Floats are rounded to f32, f16 and bf16 among
  // them: the graphs that are made of a model compute in float32.
  std::shared_ptr<const std::vector<double>> data;

  bool known() const { return data != nullptr; }
  double operator[](size_t index) const { return (*data)[index]; }
  // CHECKs nothing: dims have passed CountOf.
  int64_t count() const;
};

bool IsFloat(DType type);
// Product of the dims; kResourceExhausted past 2^40, kInvalidArgument for a negative one.
Result<int64_t> CountOf(std::span<const int64_t> dims);
// An array of these elements, each rounded to the type.
Array MakeArray(DType type, std::vector<int64_t> dims, std::vector<double> values);
Array ShapeOnly(DType type, std::vector<int64_t> dims);
// The elements as integers, cut off towards zero and clamped to int64.
std::vector<int64_t> ToInts(const Array& array);
int64_t ToInt(double value);

// Walks all indices of `dims` in row-major order.
class Odometer {
 public:
  explicit Odometer(std::span<const int64_t> dims) : dims_(dims), at_(dims.size(), 0) {}
  const std::vector<int64_t>& at() const { return at_; }
  void Next() {
    for (size_t d = dims_.size(); d-- > 0;) {
      if (++at_[d] < dims_[d]) return;
      at_[d] = 0;
    }
  }

 private:
  std::span<const int64_t> dims_;
  std::vector<int64_t> at_;
};

// Row-major strides.
std::vector<int64_t> StridesOf(std::span<const int64_t> dims);
// Strides of `dims` seen as `wide`, which they broadcast to: 0 along dims that repeat.
std::vector<int64_t> BroadcastStrides(std::span<const int64_t> dims, std::span<const int64_t> wide);
// What two shapes broadcast to.
Result<std::vector<int64_t>> BroadcastDims(std::span<const int64_t> a, std::span<const int64_t> b);

}  // namespace shoal::partition
