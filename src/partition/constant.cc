#include "partition/constant.h"

#include <algorithm>
#include <cstring>

#include "base/str_cat.h"
#include "tensor/convert.h"

namespace shoal::partition {

namespace {

constexpr int64_t kBlock = 32;

onnx::Tensor WithoutBytes(const onnx::Tensor& tensor) {
  return {tensor.name, tensor.type, tensor.dims, {}, tensor.external};
}

// The bytes of a tensor, inline ones kept by the function.
std::function<Result<ByteVector>()> Reader(const onnx::Tensor& tensor, const TensorBytes& bytes) {
  if (!tensor.external) return [raw = tensor.raw]() -> Result<ByteVector> { return raw; };
  return [tensor = WithoutBytes(tensor), bytes]() -> Result<ByteVector> {
    ASSIGN_OR_RETURN(const Bytes view, bytes(tensor));
    return ByteVector(view.begin(), view.end());
  };
}

// Code `index` of a row of bytes.
uint8_t CodeAt(const uint8_t* row, int64_t index, int64_t bits) {
  if (bits == 8) return row[index];
  const uint8_t pair = row[index / 2];
  return index % 2 == 0 ? pair & 15 : pair >> 4;
}

struct Blocks {
  ByteVector codes;
  ByteVector scales;
  ByteVector zeros;  // Empty: the middle code.
};

Result<ByteVector> RepackScales(const BlockWeights& weights, const ByteVector& scales) {
  const auto count = static_cast<size_t>(weights.n * (weights.k / weights.block_size));
  std::vector<float> floats(count);
  ToF32(weights.scales.type, scales, floats);
  const int64_t repeat = weights.block_size / kBlock;
  ByteVector out;
  ByteWriter writer(out);
  for (const float scale : floats) {
    const uint16_t half = F32ToF16(scale);
    for (int64_t i = 0; i < repeat; ++i) writer.Write(half);
  }
  return out;
}

Result<ByteVector> RepackCodes(const BlockWeights& weights, const Blocks& blocks, int64_t bits) {
  if (blocks.zeros.empty()) return blocks.codes;
  const int64_t per_row = weights.k / weights.block_size;
  const int64_t code_row = weights.k * weights.bits / 8;
  const int64_t zero_row = weights.bits == 4 ? (per_row + 1) / 2 : per_row;
  ByteVector out(static_cast<size_t>(weights.n * weights.k * bits / 8));
  const int middle = bits == 8 ? 128 : 8;
  for (int64_t row = 0; row < weights.n; ++row) {
    for (int64_t i = 0; i < weights.k; ++i) {
      const int zero =
          CodeAt(blocks.zeros.data() + row * zero_row, i / weights.block_size, weights.bits);
      const int code =
          CodeAt(blocks.codes.data() + row * code_row, i, weights.bits) - zero + middle;
      if (code < 0 || code > 2 * middle - 1) {
        return Fail(Code::kUnimplemented, StrCat("\"", weights.codes.name,
                                                 "\" has codes too far from their zero points"));
      }
      out[static_cast<size_t>(row * weights.k + i)] = static_cast<uint8_t>(code);
    }
  }
  return out;
}

}  // namespace

uint64_t Constant::bytes() const {
  uint64_t count = DTypeBytes(type);
  for (const int64_t dim : dims) count *= static_cast<uint64_t>(dim);
  return count;
}

Constant Stored(const onnx::Tensor& tensor, const TensorBytes& bytes) {
  return {tensor.type, tensor.dims, Reader(tensor, bytes)};
}

Constant StoredTransposed(const onnx::Tensor& tensor, const TensorBytes& bytes) {
  const int64_t rows = tensor.dims[0];
  const int64_t columns = tensor.dims[1];
  const size_t size = DTypeBytes(tensor.type);
  return {tensor.type,
          {columns, rows},
          [read = Reader(tensor, bytes), rows, columns, size]() -> Result<ByteVector> {
            ASSIGN_OR_RETURN(const ByteVector from, read());
            ByteVector to(from.size());
            for (int64_t r = 0; r < rows; ++r) {
              for (int64_t c = 0; c < columns; ++c) {
                std::memcpy(to.data() + static_cast<size_t>(c * rows + r) * size,
                            from.data() + static_cast<size_t>(r * columns + c) * size, size);
              }
            }
            return to;
          }};
}

Constant FromValues(DType type, std::vector<int64_t> dims, const std::vector<double>& values) {
  ByteVector raw;
  ByteWriter writer(raw);
  for (const double value : values) {
    if (IsFloat(type)) {
      writer.Write(static_cast<float>(value));
    } else {
      writer.Write(ToInt(value));
    }
  }
  return {IsFloat(type) ? DType::kF32 : DType::kI64, std::move(dims),
          [raw]() -> Result<ByteVector> { return raw; }};
}

Result<RepackedBlocks> Repack(const BlockWeights& weights, const TensorBytes& bytes) {
  const auto& [codes, scales, zeros, n, k, bits, block_size] = weights;
  const auto refuse = [&](std::string_view why) {
    return Fail(Code::kUnimplemented, StrCat("\"", codes.name, "\": ", why));
  };
  if (bits != 4 && bits != 8) return refuse("codes of other than 4 or 8 bits");
  if (n < 1 || k < 1 || block_size < kBlock || block_size % kBlock != 0 || k % block_size != 0) {
    return refuse("blocks that are not whole multiples of 32 weights");
  }
  const int64_t count = n * (k / block_size);
  const int64_t per_row = k / block_size;
  const int64_t zero_count = n * (bits == 4 ? (per_row + 1) / 2 : per_row);
  if (codes.type != DType::kU8 || codes.ElementCount() != n * k * bits / 8 ||
      scales.ElementCount() != count || !IsFloat(scales.type) || scales.type == DType::kF64) {
    return refuse("codes or scales of another size or type");
  }
  if (zeros && (zeros->type != DType::kU8 || zeros->ElementCount() != zero_count)) {
    return refuse("zero points of another size or type");
  }
  RepackedBlocks result;
  // All zero points in the middle are none.
  bool shifted = false;
  if (zeros) {
    ASSIGN_OR_RETURN(const ByteVector raw, Reader(*zeros, bytes)());
    const int64_t zero_row = zero_count / n;
    for (int64_t i = 0; i < n * per_row; ++i) {
      const uint8_t zero = CodeAt(raw.data() + i / per_row * zero_row, i % per_row, bits);
      shifted = shifted || zero != (bits == 4 ? 8 : 128);
    }
  }
  result.bits = shifted ? 8 : bits;
  const auto read_codes = Reader(codes, bytes);
  const auto read_scales = Reader(scales, bytes);
  const auto read_zeros =
      shifted ? Reader(*zeros, bytes) : []() -> Result<ByteVector> { return ByteVector(); };
  BlockWeights described = weights;
  described.codes = WithoutBytes(codes);
  described.scales = WithoutBytes(scales);
  described.zeros.reset();
  result.codes = {DType::kU8,
                  {n, k / kBlock, kBlock * result.bits / 8},
                  [=, bits_out = result.bits]() -> Result<ByteVector> {
                    Blocks blocks;
                    ASSIGN_OR_RETURN(blocks.codes, read_codes());
                    ASSIGN_OR_RETURN(blocks.zeros, read_zeros());
                    return RepackCodes(described, blocks, bits_out);
                  }};
  result.scales = {DType::kF16, {n, k / kBlock}, [=]() -> Result<ByteVector> {
                     ASSIGN_OR_RETURN(const ByteVector from, read_scales());
                     return RepackScales(described, from);
                   }};
  return result;
}

}  // namespace shoal::partition
