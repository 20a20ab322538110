#include <algorithm>

#include "base/str_cat.h"
#include "model/quantised.h"

namespace shoal::model {

namespace {

constexpr uint64_t kPerWord = 8;
// Where in a word output i of its eight lies: the order in which AWQ's kernels unpack them.
constexpr uint32_t kNibbleOfOutput[kPerWord] = {0, 4, 1, 5, 2, 6, 3, 7};

uint8_t NibbleAt(const TensorView& words, uint64_t row, uint64_t output) {
  const uint32_t word = Word32At(words.data, row * words.shape[1] + output / kPerWord);
  return static_cast<uint8_t>((word >> (4 * kNibbleOfOutput[output % kPerWord])) & 15);
}

class Awq : public CodedEncoding {
 public:
  Awq(const TensorView& weight, const TensorView& zeros, const TensorView& scales, uint64_t group,
      bool symmetric)
      : CodedEncoding({weight.data, zeros.data, scales.data}, scales.shape[1], weight.shape[0], 4,
                      group, symmetric),
        weight_(weight),
        zeros_(zeros),
        scales_(scales) {}

  void ReadCodes(uint64_t row, std::span<uint8_t> codes) const override {
    for (uint64_t input = 0; input < codes.size(); ++input) {
      codes[input] = NibbleAt(weight_, input, row);
    }
  }
  void ReadScales(uint64_t row, std::span<float> scales, std::span<uint8_t> zeros) const override {
    for (uint64_t of = 0; of < scales.size(); ++of) {
      scales[of] = FloatAt(scales_, of * rows() + row);
      zeros[of] = NibbleAt(zeros_, of, row);
    }
  }

 private:
  const TensorView weight_;
  const TensorView zeros_;
  const TensorView scales_;
};

Status ReadOne(const std::string& name, int64_t wanted_group, TensorMap& tensors) {
  const std::string weight_name = name + ".qweight", zeros_name = name + ".qzeros",
                    scales_name = name + ".scales";
  ASSIGN_OR_RETURN(const TensorView* weight, NeedPart(tensors, weight_name, DType::kI32, 2, name));
  ASSIGN_OR_RETURN(const TensorView* zeros, NeedPart(tensors, zeros_name, DType::kI32, 2, name));
  const auto scales = tensors.find(scales_name);
  if (scales == tensors.end() || !IsFloat(scales->second.type)) {
    return Fail(Code::kInvalidArgument,
                StrCat("tensor \"", scales_name, "\" is missing, or does not hold floats"));
  }
  const uint64_t inputs = weight->shape[0];
  const uint64_t words = weight->shape[1];
  if (weight->data.empty()) {
    return Fail(Code::kInvalidArgument, StrCat("tensor \"", weight_name, "\" is empty"));
  }
  const uint64_t group =
      wanted_group < 1 ? inputs : std::min(static_cast<uint64_t>(wanted_group), inputs);
  const uint64_t groups = (inputs + group - 1) / group;
  const std::string why = StrCat("for groups of ", group, " of ", inputs, " inputs");
  RETURN_IF_ERROR(CheckShape(*zeros, {groups, words}, why));
  RETURN_IF_ERROR(CheckShape(scales->second, {groups, words * kPerWord}, why));

  bool symmetric = true;
  for (uint64_t i = 0; i < groups * words; ++i) {
    symmetric &= Word32At(zeros->data, i) == 0x88888888u;
  }
  const auto encoding = std::make_shared<Awq>(*weight, *zeros, scales->second, group, symmetric);
  return Replace(tensors, {weight_name, zeros_name, scales_name}, name + ".weight",
                 {words * kPerWord, inputs}, encoding);
}

}  // namespace

Status ReadAwq(const JsonObject& quantization, TensorMap& tensors) {
  ASSIGN_OR_RETURN(const uint64_t bits, quantization.UintOr("bits", 4, 1, 32));
  ASSIGN_OR_RETURN(std::string version, quantization.TextOr("version", "gemm"));
  std::ranges::transform(version, version.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (bits != 4 || version != "gemm") {
    return Fail(Code::kUnimplemented,
                StrCat(quantization.where(), ": ", bits, " bits in version \"", version,
                       "\" are not supported; 4 bits in \"gemm\" are"));
  }
  ASSIGN_OR_RETURN(const double group, quantization.NumberOr("group_size", 128, -1, kMaxGroup));
  for (const std::string& name : NamesEndingWith(tensors, ".qweight")) {
    RETURN_IF_ERROR(ReadOne(name, static_cast<int64_t>(group), tensors));
  }
  return {};
}

}  // namespace shoal::model
