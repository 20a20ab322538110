// Tensors that do not lie in a checkpoint as plain floats: the seam between the formats of
// quantised checkpoints (one file each: fp8, mxfp4, gptq, awq, packed_int, gguf_blocks) and whoever
// reads weights.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace shoal::model {

// A matrix of small whole numbers, groups of which share a scale and a zero point:
//   value[row, column] = scale[row, column / group] * (code[row, column] - zero[row, column /
//   group])
// A pack can take it over as it is, without rounding anything.
class CodedMatrix {
 public:
  virtual ~CodedMatrix() = default;

  uint64_t rows() const { return rows_; }
  uint64_t columns() const { return columns_; }
  int bits() const { return bits_; }  // Of a code: 4 or 8. Codes are in [0, 2^bits).
  // Neighbours in a row that share a scale; the last group of a row may be shorter.
  uint64_t group() const { return group_; }
  uint64_t groups_per_row() const { return (columns_ + group_ - 1) / group_; }
  // Whether every zero point is 2^(bits - 1), which is what formats without zero points mean.
  bool symmetric() const { return symmetric_; }

  // One code a byte; codes.size() == columns().
  virtual void ReadCodes(uint64_t row, std::span<uint8_t> codes) const = 0;
  // Both have groups_per_row() places. Scales are exact; those that come from f16 stay f16 values.
  virtual void ReadScales(uint64_t row, std::span<float> scales,
                          std::span<uint8_t> zeros) const = 0;

 protected:
  CodedMatrix(uint64_t rows, uint64_t columns, int bits, uint64_t group, bool symmetric)
      : rows_(rows), columns_(columns), bits_(bits), group_(group), symmetric_(symmetric) {}

 private:
  uint64_t rows_;
  uint64_t columns_;
  int bits_;
  uint64_t group_;
  bool symmetric_;
};

// How the values of one tensor are got from the bytes in which they are stored. Views of the
// checkpoint's files, checked when it was made: reading cannot fail. Safe to share between threads.
class Encoding {
 public:
  virtual ~Encoding() = default;

  // The values [first, first + out.size()) of the tensor, counted row-major over its shape, within
  // it. The same floats as the reference implementation's dequantisation to float32.
  virtual void Read(uint64_t first, std::span<float> out) const = 0;

  // The same values as codes, or null where they are none. A tensor of more than two dims is a
  // matrix with all but its last dim joined.
  virtual const CodedMatrix* coded() const { return nullptr; }

  // Everything that is read.
  const std::vector<Bytes>& stored() const { return stored_; }

 protected:
  explicit Encoding(std::vector<Bytes> stored) : stored_(std::move(stored)) {}

 private:
  std::vector<Bytes> stored_;
};

// An encoding that is nothing but a coded matrix.
class CodedEncoding : public Encoding, public CodedMatrix {
 public:
  void Read(uint64_t first, std::span<float> out) const override;
  const CodedMatrix* coded() const override { return this; }

 protected:
  CodedEncoding(std::vector<Bytes> stored, uint64_t rows, uint64_t columns, int bits,
                uint64_t group, bool symmetric)
      : Encoding(std::move(stored)), CodedMatrix(rows, columns, bits, group, symmetric) {}
};

}  // namespace shoal::model
