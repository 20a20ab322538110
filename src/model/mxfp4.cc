#include <cmath>
#include <limits>

#include "base/str_cat.h"
#include "model/quantised.h"

namespace shoal::model {

namespace {

constexpr uint64_t kGroup = 32;  // Values that share a scale,
constexpr uint64_t kGroupBytes = 16;
constexpr float kE2m1[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                             -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

float DecodeE8m0(uint8_t bits) {
  if (bits == 255) return std::numeric_limits<float>::quiet_NaN();
  return std::ldexp(1.0f, static_cast<int>(bits) - 127);
}

// Stored [experts, outputs, groups, 16]; read as [experts, inputs, outputs].
class Mxfp4 : public Encoding {
 public:
  Mxfp4(const TensorView& blocks, const TensorView& scales)
      : Encoding({blocks.data, scales.data}), outputs_(blocks.shape[1]), groups_(blocks.shape[2]) {}

  void Read(uint64_t first, std::span<float> out) const override {
    const uint64_t end = first + out.size();
    const uint64_t band = kGroup * outputs_;  // Values of one group of inputs of all outputs.
    for (uint64_t begin = first / band * band; begin < end; begin += band) {
      for (uint64_t output = 0; output < outputs_; ++output) {
        ReadGroup(begin, output, first, out);
      }
    }
  }

 private:
  // The group of `output` in the band that begins with value `begin`, as far as it is wanted.
  void ReadGroup(uint64_t begin, uint64_t output, uint64_t first, std::span<float> out) const {
    const uint64_t band_index = begin / (kGroup * outputs_);  // expert * groups + group
    const uint64_t expert = band_index / groups_;
    const uint64_t block = (expert * outputs_ + output) * groups_ + band_index % groups_;
    const Bytes codes = stored()[0].subspan(block * kGroupBytes, kGroupBytes);
    const float scale = DecodeE8m0(stored()[1][block]);
    for (uint64_t i = 0; i < kGroup; ++i) {
      const uint64_t at = begin + i * outputs_ + output;
      if (at < first || at >= first + out.size()) continue;
      const uint8_t code = i % 2 == 0 ? codes[i / 2] & 15 : codes[i / 2] >> 4;
      out[at - first] = kE2m1[code] * scale;
    }
  }

  const uint64_t outputs_;
  const uint64_t groups_;
};

}  // namespace

Status ReadMxfp4(const JsonObject&, TensorMap& tensors) {
  for (const std::string& name : NamesEndingWith(tensors, "_blocks")) {
    const std::string blocks_name = name + "_blocks", scales_name = name + "_scales";
    ASSIGN_OR_RETURN(const TensorView* blocks, NeedPart(tensors, blocks_name, DType::kU8, 4, name));
    ASSIGN_OR_RETURN(const TensorView* scales, NeedPart(tensors, scales_name, DType::kU8, 3, name));
    const std::vector<uint64_t>& shape = blocks->shape;
    if (shape[3] != kGroupBytes || blocks->data.empty() || shape[2] > UINT64_MAX / kGroup) {
      return Fail(Code::kInvalidArgument,
                  StrCat("tensor \"", blocks_name, "\" has shape ", ShowShape(shape),
                         "; expected [experts, outputs, groups, ", kGroupBytes, "]"));
    }
    RETURN_IF_ERROR(CheckShape(*scales, {shape[0], shape[1], shape[2]}, "one for each block"));
    const auto encoding = std::make_shared<Mxfp4>(*blocks, *scales);
    const std::vector<uint64_t> logical = {shape[0], shape[2] * kGroup, shape[1]};
    RETURN_IF_ERROR(Replace(tensors, {blocks_name, scales_name}, name, logical, encoding));
  }
  return {};
}

}  // namespace shoal::model
