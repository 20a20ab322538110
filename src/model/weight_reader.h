// Reads one weight (weights.h) of a checkpoint as one matrix, or one per expert, in its logical
// shape: put together from the pieces in which it lies there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/checkpoint.h"
#include "model/weights.h"

namespace shoal::model {

class WeightReader {
 public:
  // Checks that the pieces' tensors are in the checkpoint, with the shapes that the architecture
  // asks for, and all of one type: bf16, f16, f32 or encoded. kInvalidArgument and kUnimplemented
  // name the tensor. The checkpoint and the spec must outlive the reader.
  static Result<WeightReader> Open(const Checkpoint& checkpoint, const WeightSpec& spec);

  const WeightSpec& spec() const { return *spec_; }
  // 1, or shape[0] for kExperts.
  uint64_t slice_count() const;
  // Slice `index`, row-major: the weight, or, of experts, one of them as a matrix. A view of the
  // checkpoint itself where that holds the values in order, else of a copy that lives until the
  // next call. Any slice may be read again.
  TensorView Slice(uint64_t index);
  // Row `row` of slice `index`, a matrix, as codes with scales and zero points (encoding.h);
  // nothing where the checkpoint does not store it so, or keeps all experts in one tensor.
  struct CodedRow {
    const CodedMatrix* matrix = nullptr;
    uint64_t row = 0;  // Of `matrix`.
  };
  std::optional<CodedRow> FindCodedRow(uint64_t index, uint64_t row) const;
  // Gives the pages of the tensors back to the system.
  void Forget() const;

 private:
  WeightReader(const Checkpoint& checkpoint, const WeightSpec& spec);
  // The pieces of a slice, and the index of the first one's tensor.
  std::vector<WeightPiece> PiecesOf(uint64_t index, size_t& first) const;
  // The `count` elements of a slice's pieces, the first of which is of tensor `first`, in order.
  ByteVector Gather(std::span<const WeightPiece> pieces, size_t first, uint64_t count);

  const Checkpoint* checkpoint_;
  const WeightSpec* spec_;
  std::vector<const TensorView*> tensors_;  // Of each piece.
  ByteVector copy_;
};

}  // namespace shoal::model
