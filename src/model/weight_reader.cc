#include "model/weight_reader.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/check.h"
#include "base/str_cat.h"
#include "model/stored_tensors.h"
#include "tensor/convert.h"

namespace shoal::model {

namespace {

using Numbers = std::span<const uint64_t>;

// Copies the elements of a strided view one after the other; returns the end of what was written.
uint8_t* CopyStrided(const uint8_t* from, size_t element, Numbers dims, Numbers strides,
                     uint8_t* to) {
  if (dims.empty()) {
    std::memcpy(to, from, element);
    return to + element;
  }
  if (dims.size() == 1 && strides[0] == 1) {
    std::memcpy(to, from, dims[0] * element);
    return to + dims[0] * element;
  }
  for (uint64_t i = 0; i < dims[0]; ++i) {
    to = CopyStrided(from + i * strides[0] * element, element, dims.subspan(1), strides.subspan(1),
                     to);
  }
  return to;
}

// The part of a piece of all slices that belongs to one of them.
WeightPiece PieceOfSlice(const WeightPiece& piece, uint64_t index) {
  WeightPiece part = piece;
  part.offset += index * piece.strides[0];
  part.dims.erase(part.dims.begin());
  part.strides.erase(part.strides.begin());
  return part;
}

// Elements from a piece's first to its last in the tensor, whatever of them belongs to it.
uint64_t Extent(const WeightPiece& piece) {
  uint64_t last = 0;
  for (size_t d = 0; d < piece.dims.size(); ++d) last += (piece.dims[d] - 1) * piece.strides[d];
  return last + 1;
}

// The `count` elements from `first` on: a view of the checkpoint, or decoded into `copy`.
Bytes Elements(const TensorView& tensor, uint64_t first, uint64_t count, ByteVector& copy) {
  const size_t element = DTypeBytes(tensor.type);
  if (tensor.encoding == nullptr) return tensor.data.subspan(first * element, count * element);
  copy.resize(count * sizeof(float));
  tensor.encoding->Read(first, {reinterpret_cast<float*>(copy.data()), count});
  return copy;
}

}  // namespace

WeightReader::WeightReader(const Checkpoint& checkpoint, const WeightSpec& spec)
    : checkpoint_(&checkpoint), spec_(&spec) {}

Result<WeightReader> WeightReader::Open(const Checkpoint& checkpoint, const WeightSpec& spec) {
  WeightReader reader(checkpoint, spec);
  for (const WeightPiece& piece : spec.pieces) {
    const auto found = checkpoint.tensors().find(piece.tensor);
    if (found == checkpoint.tensors().end()) {
      return Fail(Code::kInvalidArgument,
                  StrCat("tensor \"", piece.tensor, "\" is missing from the checkpoint"));
    }
    const TensorView& tensor = found->second;
    if (tensor.shape != piece.tensor_shape) {
      return Fail(Code::kInvalidArgument,
                  StrCat("tensor \"", piece.tensor, "\" has shape ", ShowShape(tensor.shape),
                         "; config.json asks for ", ShowShape(piece.tensor_shape)));
    }
    if (!IsFloat(tensor.type)) {
      return Fail(Code::kUnimplemented,
                  StrCat("tensor \"", tensor.name, "\" is ", DTypeName(tensor.type),
                         "; weights are read in bf16, f16 and f32, or quantised as config.json's "
                         "quantization_config says"));
    }
    reader.tensors_.push_back(&tensor);
    if (tensor.type != reader.tensors_[0]->type) {
      return Fail(Code::kUnimplemented,
                  StrCat("tensor \"", tensor.name, "\" is ", DTypeName(tensor.type), ", but \"",
                         reader.tensors_[0]->name, "\" is ", DTypeName(reader.tensors_[0]->type)));
    }
  }
  return reader;
}

uint64_t WeightReader::slice_count() const {
  return spec_->kind == WeightKind::kExperts ? spec_->shape[0] : 1;
}

ByteVector WeightReader::Gather(std::span<const WeightPiece> pieces, size_t first, uint64_t count) {
  const size_t element = DTypeBytes(tensors_[first]->type);
  const size_t in_turns = spec_->paired ? 2 : 1;
  ByteVector gathered(count * element);
  ByteVector copies[2];
  Bytes sources[2];
  uint8_t* to = gathered.data();
  for (size_t p = 0; p < pieces.size(); p += in_turns) {
    for (size_t turn = 0; turn < in_turns; ++turn) {
      const WeightPiece& piece = pieces[p + turn];
      sources[turn] =
          Elements(*tensors_[first + p + turn], piece.offset, Extent(piece), copies[turn]);
    }
    const Numbers dims = pieces[p].dims;
    for (uint64_t row = 0; row < dims[0]; ++row) {
      for (size_t turn = 0; turn < in_turns; ++turn) {
        const Numbers strides = pieces[p + turn].strides;
        to = CopyStrided(sources[turn].data() + row * strides[0] * element, element,
                         dims.subspan(1), strides.subspan(1), to);
      }
    }
  }
  CHECK(to == gathered.data() + gathered.size());
  return gathered;
}

std::vector<WeightPiece> WeightReader::PiecesOf(uint64_t index, size_t& first) const {
  const uint64_t slices = slice_count();
  CHECK(index < slices);
  const size_t per_slice = std::max<size_t>(1, spec_->pieces.size() / slices);
  const bool whole = spec_->pieces.size() < slices;  // One piece has all slices.
  first = whole ? 0 : index * per_slice;
  std::vector<WeightPiece> pieces;
  for (size_t p = first; p < first + per_slice; ++p) {
    pieces.push_back(whole ? PieceOfSlice(spec_->pieces[p], index) : spec_->pieces[p]);
  }
  return pieces;
}

TensorView WeightReader::Slice(uint64_t index) {
  size_t first = 0;
  const std::vector<WeightPiece> pieces = PiecesOf(index, first);
  TensorView view;
  view.name = tensors_[first]->name;
  view.type = tensors_[first]->type;
  view.shape.assign(spec_->shape.begin() + (spec_->kind == WeightKind::kExperts ? 1 : 0),
                    spec_->shape.end());
  uint64_t count = 1;
  for (const uint64_t dim : view.shape) count *= dim;

  if (pieces.size() == 1 && spec_->added == 0 && pieces[0].IsContiguous()) {
    view.data = Elements(*tensors_[first], pieces[0].offset, count, copy_);
    return view;
  }

  ByteVector gathered = Gather(pieces, first, count);
  if (spec_->added == 0) {
    copy_ = std::move(gathered);
  } else {
    std::vector<float> values(count);
    ToF32(view.type, gathered, values);
    for (float& value : values) value += spec_->added;
    copy_.resize(count * sizeof(float));
    std::memcpy(copy_.data(), values.data(), copy_.size());
    view.type = DType::kF32;
  }
  view.data = copy_;
  return view;
}

std::optional<WeightReader::CodedRow> WeightReader::FindCodedRow(uint64_t index,
                                                                 uint64_t row) const {
  // Of a stack that is one tensor the slices may lie across its rows.
  if (spec_->pieces[0].dims.size() > 2) return std::nullopt;
  size_t first = 0;
  const std::vector<WeightPiece> pieces = PiecesOf(index, first);
  const uint64_t in_turns = spec_->paired ? 2 : 1;
  size_t p = 0;
  for (; p < pieces.size() && row >= in_turns * pieces[p].dims[0]; p += in_turns) {
    row -= in_turns * pieces[p].dims[0];
  }
  CHECK(p < pieces.size());
  p += row % in_turns;
  row /= in_turns;
  const WeightPiece& piece = pieces[p];
  const auto& encoding = tensors_[first + p]->encoding;
  const CodedMatrix* const coded = encoding == nullptr ? nullptr : encoding->coded();
  if (coded == nullptr || spec_->added != 0) return std::nullopt;
  const uint64_t begin = piece.offset + row * piece.strides[0];
  const bool is_row = piece.dims.size() == 2 && piece.strides[1] == 1 &&
                      piece.dims[1] == coded->columns() && begin % coded->columns() == 0;
  if (!is_row) return std::nullopt;
  return CodedRow{coded, begin / coded->columns()};
}

void WeightReader::Forget() const {
  for (const TensorView* tensor : tensors_) checkpoint_->Forget(*tensor);
}

}  // namespace shoal::model
