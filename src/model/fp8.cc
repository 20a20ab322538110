#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/str_cat.h"
#include "model/quantised.h"

namespace shoal::model {

namespace {

constexpr uint64_t kMaxBlock = 1u << 16;

// e4m3 without infinities: sign, 4 bits of exponent with bias 7, 3 bits of fraction; all ones is
// NaN.
float DecodeE4m3(uint8_t bits) {
  const int exponent = (bits >> 3) & 15;
  const int fraction = bits & 7;
  if ((bits & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(fraction), -9)
                              : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

const std::array<float, 256>& Values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> made{};
    for (size_t bits = 0; bits < made.size(); ++bits) {
      made[bits] = DecodeE4m3(static_cast<uint8_t>(bits));
    }
    return made;
  }();
  return values;
}

// Each block of [block_rows, block_columns] has a scale.
class Fp8 : public Encoding {
 public:
  Fp8(const TensorView& weight, const TensorView& scales, uint64_t block_rows,
      uint64_t block_columns)
      : Encoding({weight.data, scales.data}),
        columns_(weight.shape.back()),
        block_rows_(block_rows),
        block_columns_(block_columns),
        scales_(scales) {}

  void Read(uint64_t first, std::span<float> out) const override {
    const Bytes codes = stored().front();
    const uint64_t blocks_per_row = (columns_ + block_columns_ - 1) / block_columns_;
    for (size_t done = 0; done < out.size();) {
      const uint64_t row = (first + done) / columns_;
      const uint64_t column = (first + done) % columns_;
      const uint64_t block = column / block_columns_;
      const uint64_t end = std::min(columns_, (block + 1) * block_columns_);
      const size_t count = std::min<uint64_t>(end - column, out.size() - done);
      const float scale = FloatAt(scales_, row / block_rows_ * blocks_per_row + block);
      for (size_t i = 0; i < count; ++i) out[done + i] = Values()[codes[first + done + i]] * scale;
      done += count;
    }
  }

 private:
  const uint64_t columns_;
  const uint64_t block_rows_;
  const uint64_t block_columns_;
  const TensorView scales_;
};

struct BlockSize {
  uint64_t rows = 128;
  uint64_t columns = 128;
};

Result<BlockSize> ReadBlockSize(const JsonObject& quantization) {
  BlockSize size;
  if (!quantization.Has("weight_block_size")) return size;
  ASSIGN_OR_RETURN(const auto numbers, quantization.Uints("weight_block_size", kMaxBlock, 2));
  if (numbers.size() != 2 || numbers[0] == 0 || numbers[1] == 0) {
    return quantization.Wrong("weight_block_size", "expected [rows, columns], both at least 1");
  }
  size.rows = numbers[0];
  size.columns = numbers[1];
  return size;
}

// The block that one scale of "X_scale" is for: the whole tensor, or a row.
Result<BlockSize> BlockOfPlainScale(const TensorView& weight, const TensorView& scales) {
  uint64_t count = 1;
  for (const uint64_t dim : scales.shape) count *= dim;
  const bool for_all = count == 1;
  const bool for_rows =
      count == weight.shape[0] && scales.shape.size() <= 2 && scales.shape[0] == weight.shape[0];
  if (for_all) return BlockSize{weight.shape[0], weight.shape[1]};
  if (for_rows) return BlockSize{1, weight.shape[1]};
  return Fail(Code::kInvalidArgument,
              StrCat("tensor \"", scales.name, "\" has shape ", ShowShape(scales.shape),
                     "; expected one scale, or one for each of the ", weight.shape[0], " rows"));
}

Status ReadOne(const std::string& name, const BlockSize& config_block, TensorMap& tensors) {
  const TensorView weight = tensors.find(name)->second;
  if (weight.shape.size() != 2 || weight.shape[0] == 0 || weight.shape[1] == 0) {
    return Fail(Code::kUnimplemented, StrCat("tensor \"", name, "\" is fp8 of shape ",
                                             ShowShape(weight.shape), "; only matrices can be"));
  }
  auto found = tensors.find(name + "_scale_inv");
  const bool in_blocks = found != tensors.end();
  if (!in_blocks) found = tensors.find(name + "_scale");
  if (found == tensors.end()) {
    return Fail(Code::kInvalidArgument,
                StrCat("tensor \"", name, "\" is fp8, but its scales, \"", name,
                       "_scale_inv\" or \"", name, "_scale\", are missing from the checkpoint"));
  }
  const TensorView scales = found->second;
  if (!IsFloat(scales.type)) {
    return Fail(Code::kInvalidArgument, StrCat("tensor \"", scales.name, "\" is ",
                                               DTypeName(scales.type), "; expected floats"));
  }
  BlockSize block = config_block;
  if (in_blocks) {
    const std::vector<uint64_t> expected = {(weight.shape[0] + block.rows - 1) / block.rows,
                                            (weight.shape[1] + block.columns - 1) / block.columns};
    RETURN_IF_ERROR(CheckShape(scales, expected,
                               StrCat("one for each block of ", block.rows, " x ", block.columns,
                                      " of ", ShowShape(weight.shape))));
  } else {
    ASSIGN_OR_RETURN(block, BlockOfPlainScale(weight, scales));
  }
  const auto encoding = std::make_shared<Fp8>(weight, scales, block.rows, block.columns);
  // How activations would be quantised does not concern weights.
  if (name.ends_with(".weight")) tensors.erase(name.substr(0, name.size() - 6) + "input_scale");
  return Replace(tensors, {name, found->first}, name, weight.shape, encoding);
}

}  // namespace

Status ReadFp8(const JsonObject& quantization, TensorMap& tensors) {
  ASSIGN_OR_RETURN(const std::string format, quantization.TextOr("fmt", "e4m3"));
  if (format != "e4m3") {
    return Fail(Code::kUnimplemented,
                StrCat(quantization.where(), ": fmt: \"", format, "\" is not supported; e4m3 is"));
  }
  ASSIGN_OR_RETURN(const BlockSize block, ReadBlockSize(quantization));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.type == DType::kF8E4M3) names.push_back(name);
  }
  for (const std::string& name : names) RETURN_IF_ERROR(ReadOne(name, block, tensors));
  return {};
}

}  // namespace shoal::model
