#include "engine/weights.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "engine/kernels/widen.h"
#include "tensor/convert.h"

namespace shoal::engine {

size_t Weight::ElementCount() const {
  size_t count = 1;
  for (const size_t dim : dims) count *= dim;
  return count;
}

Result<const Weight*> WeightTable::Add(const onnx::Tensor& tensor) {
  Weight weight{tensor.name, tensor.type, {}, tensor.external, {}};
  for (const int64_t dim : tensor.dims) weight.dims.push_back(static_cast<size_t>(dim));
  if (tensor.external) {
    stored_bytes_ += tensor.external->length;
  } else {
    stored_bytes_ += tensor.raw.size();
    weight.bytes = copies_.emplace_back(tensor.raw);
  }
  weights_.push_back(std::move(weight));
  return &weights_.back();
}

const Weight* WeightTable::WithDims(const Weight& weight, std::vector<size_t> dims) {
  Weight& other = weights_.emplace_back(weight);
  other.dims = std::move(dims);
  CHECK(other.ElementCount() == weight.ElementCount());
  return &other;
}

Status WeightTable::Load(const Weight& weight) {
  if (!weight.external || !weight.bytes.empty()) return {};
  Result<Bytes> view = source_->Map(*weight.external);
  if (!view) return FailWithContext(std::move(view).error(), StrCat("weight ", weight.name));
  if (view->size() != weight.external->length) {
    return Fail(Code::kDataLoss, StrCat("weight ", weight.name, ": ", view->size(),
                                        " bytes came for ", weight.external->length));
  }
  Bytes bytes = *view;
  if (reinterpret_cast<uintptr_t>(bytes.data()) % DTypeBytes(weight.type) != 0) {
    bytes = copies_.emplace_back(bytes.begin(), bytes.end());
    source_->Release(*weight.external);
  }
  // The table's own weights are not const.
  const_cast<Weight&>(weight).bytes = bytes;
  return {};
}

void WeightTable::Unload(const Weight& weight) {
  if (!weight.external) return;
  source_->Release(*weight.external);
  const_cast<Weight&>(weight).bytes = {};
}

Result<const BlockMatrix*> WeightTable::AsBlocks(const Weight& codes, const Weight& scales,
                                                 BlockFormat format, size_t n, size_t k) {
  const size_t blocks = n * BlocksPerRow(k);
  if (codes.type != DType::kU8 || codes.ElementCount() != blocks * BlockCodeBytes(format)) {
    return Fail(Code::kInvalidArgument,
                StrCat("codes ", codes.name, " must be ", blocks * BlockCodeBytes(format),
                       " elements of u8 for ", n, " outputs of ", k, " inputs"));
  }
  if ((scales.type != DType::kF16 && scales.type != DType::kF32) ||
      scales.ElementCount() != blocks) {
    return Fail(Code::kInvalidArgument,
                StrCat("scales ", scales.name, " must be ", blocks, " elements of f16 or f32"));
  }
  if (codes.external) {
    for (const Blocks& known : blocks_) {
      if (known.codes == *codes.external && known.matrix.format() == format &&
          known.matrix.n() == n && known.matrix.k() == k) {
        return &known.matrix;
      }
    }
  }
  RETURN_IF_ERROR(Load(scales));
  std::vector<uint16_t> halves(blocks);
  for (size_t i = 0; i < blocks; ++i) {
    if (scales.type == DType::kF16) {
      halves[i] = reinterpret_cast<const uint16_t*>(scales.bytes.data())[i];
    } else {
      const float scale = reinterpret_cast<const float*>(scales.bytes.data())[i];
      halves[i] = F32ToF16(scale);
      if (F16ToF32(halves[i]) != scale) {
        return Fail(Code::kUnimplemented,
                    StrCat("scales ", scales.name, " hold ", i, ": no f16 number"));
      }
    }
    if ((halves[i] & 0x7c00) == 0x7c00) {
      return Fail(Code::kInvalidArgument, StrCat("scale ", i, " of ", scales.name,
                                                 " is not finite: the weights are damaged"));
    }
  }
  Unload(scales);
  BlockMatrix matrix(format, n, k);
  RETURN_IF_ERROR(FillBlocks(codes, halves, matrix));
  return &blocks_.emplace_back(codes.external.value_or(onnx::ExternalData{}), std::move(matrix))
              .matrix;
}

// Some tiles at a time, so that no large weight is in memory twice.
Status WeightTable::FillBlocks(const Weight& codes, std::span<const uint16_t> scales,
                               BlockMatrix& matrix) {
  constexpr size_t kPieceBytes = 1 << 20;
  const size_t row_bytes = matrix.blocks() * BlockCodeBytes(matrix.format());
  const size_t tiles = std::max<size_t>(1, kPieceBytes / (row_bytes * kTileColumns));
  if (codes.external && codes.external->length != matrix.n() * row_bytes) {
    return Fail(Code::kDataLoss, StrCat("weight ", codes.name, ": ", codes.external->length,
                                        " bytes stored for ", matrix.n() * row_bytes));
  }
  for (size_t tile = 0; tile < matrix.tiles(); tile += tiles) {
    const size_t row = tile * kTileColumns;
    const size_t rows = std::min(tiles * kTileColumns, matrix.n() - row);
    Weight piece = codes;
    piece.dims = {rows * row_bytes};
    if (piece.external) {
      piece.external->offset += row * row_bytes;
      piece.external->length = rows * row_bytes;
      RETURN_IF_ERROR(Load(piece));
    } else {
      piece.bytes = codes.bytes.subspan(row * row_bytes, rows * row_bytes);
    }
    matrix.FillTiles(tile, piece.bytes,
                     scales.subspan(row * matrix.blocks(), rows * matrix.blocks()));
    Unload(piece);
  }
  return {};
}

Result<std::span<const float>> WeightTable::AsFloats(const Weight& weight) {
  if (!IsWeightType(weight.type)) {
    return Fail(Code::kInvalidArgument, StrCat("constant ", weight.name, " is ",
                                               DTypeName(weight.type), ", not f32, f16 or bf16"));
  }
  const size_t count = weight.ElementCount();
  RETURN_IF_ERROR(Load(weight));
  std::vector<float> scratch(weight.type == DType::kF32 ? 0 : count);
  const float* floats = Widen(weight.type, weight.bytes.data(), count, scratch.data());
  if (!scratch.empty()) floats = floats_.emplace_back(std::move(scratch)).data();
  return std::span(floats, count);
}

Result<std::vector<int64_t>> WeightTable::AsInts(const Weight& weight) {
  std::vector<int64_t> ints(weight.ElementCount());
  ByteReader reader(weight.bytes);
  for (int64_t& value : ints) {
    if (weight.type == DType::kI64) {
      value = reader.Read<int64_t>();
    } else if (weight.type == DType::kI32) {
      value = reader.Read<int32_t>();
    } else {
      return Fail(Code::kInvalidArgument, StrCat("constant ", weight.name, " is ",
                                                 DTypeName(weight.type), ", not i64 or i32"));
    }
  }
  return ints;
}

}  // namespace shoal::engine
