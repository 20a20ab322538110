// A constant of a graph that is being cut: what it is, and how its bytes are made when it is
// written.
#pragma once

#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "onnx/model.h"
#include "partition/reading.h"

namespace shoal::partition {

struct Constant {
  DType type = DType::kF32;
  std::vector<int64_t> dims;
  // The elements, little-endian; at most one such copy is in memory at a time.
  std::function<Result<ByteVector>()> make;

  uint64_t bytes() const;
};

// An initialiser as it is, and a matrix with its rows and columns exchanged. The tensor is copied
// without its elements, `bytes` is kept.
Constant Stored(const onnx::Tensor& tensor, const TensorBytes& bytes);
Constant StoredTransposed(const onnx::Tensor& tensor, const TensorBytes& bytes);
// Known elements.
Constant FromValues(DType type, std::vector<int64_t> dims, const std::vector<double>& values);

// What MatMulNBits and GatherBlockQuantized read: rows of `n` outputs, each of `k` inputs in
// blocks.
struct BlockWeights {
  onnx::Tensor codes;
  onnx::Tensor scales;
  std::optional<onnx::Tensor> zeros;  // Two or one in a byte, as the codes.
  int64_t n = 0;
  int64_t k = 0;
  int64_t bits = 4;
  int64_t block_size = 32;
};

// The same weights in blocks of 32 without zero points, as the executors read them: scales rounded
// to float16, and codes of 8 bits where zero points would not fit into 4. kUnimplemented for block
// sizes that are no multiple of 32 and zero points that 8 bits cannot hold.
struct RepackedBlocks {
  Constant codes;   // [n, k / 32, bytes of a block]
  Constant scales;  // f16 [n, k / 32]
  int64_t bits = 4;
};
Result<RepackedBlocks> Repack(const BlockWeights& weights, const TensorBytes& bytes);

}  // namespace shoal::partition
