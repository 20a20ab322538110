// The constants of a stage: initialisers, where their bytes are.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/stage.h"
#include "onnx/model.h"

namespace shoal::engine {

// One initialiser as it is stored. Its bytes are aligned to the size of its elements.
struct Weight {
  std::string name;
  DType type = DType::kF32;
  std::vector<size_t> dims;
  Bytes bytes;

  size_t ElementCount() const { return bytes.size() / DTypeBytes(type); }
};

// Holds the constants of a stage. External ones are views of what the source gave, in their stored
// type: 16-bit weights are widened tile by tile in every run rather than copied at twice their
// size. Inline ones, and views that are not aligned to their elements, are copied.
class WeightTable {
 public:
  WeightTable() = default;
  WeightTable(WeightTable&&) = default;
  WeightTable& operator=(WeightTable&&) = default;

  // The tensor must have passed onnx::Check. Pointers stay valid as long as the table lives.
  Result<const Weight*> Add(const onnx::Tensor& tensor, WeightSource& source);
  // The weight as floats, for the small ones that are read often: norms, rotary tables. Owned by
  // the table. kInvalidArgument if it is not f32, f16 or bf16.
  Result<std::span<const float>> AsFloats(const Weight& weight);
  // The elements of an i64 or i32 constant.
  static Result<std::vector<int64_t>> AsInts(const Weight& weight);

  uint64_t stored_bytes() const { return stored_bytes_; }

 private:
  std::deque<Weight> weights_;
  std::deque<ByteVector> copies_;
  std::deque<std::vector<float>> floats_;
  uint64_t stored_bytes_ = 0;
};

}  // namespace shoal::engine
