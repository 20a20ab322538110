// The constants of a stage: initialisers, where their bytes are.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/kernels/block_matrix.h"
#include "engine/stage.h"
#include "onnx/model.h"

namespace shoal::engine {

// One initialiser as it is stored. An external one has its bytes only after WeightTable::Load;
// they are aligned to the size of its elements.
struct Weight {
  std::string name;
  DType type = DType::kF32;
  std::vector<size_t> dims;
  std::optional<onnx::ExternalData> external;
  Bytes bytes;

  size_t ElementCount() const;
};

// Holds the constants of a stage. External ones are views of what the source gave, in their stored
// type: 16-bit weights are widened tile by tile in every run rather than copied at twice their
// size. Inline ones, and views that are not aligned to their elements, are copied. Quantised ones
// are brought into the kernels' order one after the other, each view going back to its source.
class WeightTable {
 public:
  // The source must stay while weights are loaded, and as long as its views are read.
  explicit WeightTable(WeightSource* source = nullptr) : source_(source) {}
  WeightTable(WeightTable&&) = default;
  WeightTable& operator=(WeightTable&&) = default;

  // The tensor must have passed onnx::Check. Pointers stay valid as long as the table lives.
  Result<const Weight*> Add(const onnx::Tensor& tensor);
  // The same weight with other dims of as many elements.
  const Weight* WithDims(const Weight& weight, std::vector<size_t> dims);
  // Fetches the bytes of a weight of this table if they are not there.
  Status Load(const Weight& weight);
  // Codes and scales as a matrix of `n` outputs and `k` inputs, the same one for the same codes.
  // kInvalidArgument unless they have the sizes of the block format and finite scales,
  // kUnimplemented for f32 scales that are no f16 numbers.
  Result<const BlockMatrix*> AsBlocks(const Weight& codes, const Weight& scales, BlockFormat format,
                                      size_t n, size_t k);
  // A loaded weight as floats, for the small ones that are read often: norms, rotary tables. Owned
  // by the table. kInvalidArgument if it is not f32, f16 or bf16.
  Result<std::span<const float>> AsFloats(const Weight& weight);
  // The elements of an i64 or i32 constant.
  static Result<std::vector<int64_t>> AsInts(const Weight& weight);

  uint64_t stored_bytes() const { return stored_bytes_; }

 private:
  struct Blocks {
    onnx::ExternalData codes;
    BlockMatrix matrix;
  };

  Status FillBlocks(const Weight& codes, std::span<const uint16_t> scales, BlockMatrix& matrix);
  // Gives the bytes of a loaded weight back.
  void Unload(const Weight& weight);

  WeightSource* source_;
  std::deque<Weight> weights_;
  std::deque<Blocks> blocks_;
  std::deque<ByteVector> copies_;
  std::deque<std::vector<float>> floats_;
  uint64_t stored_bytes_ = 0;
};

}  // namespace shoal::engine
