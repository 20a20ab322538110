#include "base/str_cat.h"
#include "model/quantised.h"

namespace shoal::model {

namespace {

// Codes along the inputs, from the low bits up; zero points are half the range.
class PackedInt : public CodedEncoding {
 public:
  PackedInt(const TensorView& words, const TensorView& scales, uint64_t columns, int bits)
      : CodedEncoding({words.data, scales.data}, words.shape[0], columns, bits,
                      columns / scales.shape[1], true),
        words_(words),
        scales_(scales) {}

  void ReadCodes(uint64_t row, std::span<uint8_t> codes) const override {
    const auto width = static_cast<uint32_t>(bits());
    const uint32_t per_word = 32 / width;
    for (uint64_t column = 0; column < codes.size(); ++column) {
      const uint32_t word = Word32At(words_.data, row * words_.shape[1] + column / per_word);
      const auto shift = static_cast<uint32_t>(column % per_word) * width;
      codes[column] = static_cast<uint8_t>((word >> shift) & ((1u << width) - 1));
    }
  }
  void ReadScales(uint64_t row, std::span<float> scales, std::span<uint8_t> zeros) const override {
    for (uint64_t of = 0; of < scales.size(); ++of) {
      scales[of] = FloatAt(scales_, row * scales.size() + of);
      zeros[of] = static_cast<uint8_t>(1u << (bits() - 1));
    }
  }

 private:
  const TensorView words_;
  const TensorView scales_;
};

Status ReadPacked(const std::string& name, int bits, TensorMap& tensors) {
  const std::string words_name = name + "_packed", scales_name = name + "_scale",
                    shape_name = name + "_shape";
  if (tensors.contains(name + "_zero_point") || tensors.contains(name + "_g_idx")) {
    return Fail(Code::kUnimplemented,
                StrCat("tensor \"", name, "\" has zero points or an order of its own; only ",
                       "symmetric groups in order are supported in compressed-tensors"));
  }
  ASSIGN_OR_RETURN(const TensorView* words, NeedPart(tensors, words_name, DType::kI32, 2, name));
  ASSIGN_OR_RETURN(const TensorView* shape, NeedPart(tensors, shape_name, DType::kI64, 1, name));
  const auto scales = tensors.find(scales_name);
  if (scales == tensors.end() || !IsFloat(scales->second.type) ||
      scales->second.shape.size() != 2) {
    return Fail(Code::kInvalidArgument,
                StrCat("tensor \"", scales_name, "\" is missing, or is no matrix of floats"));
  }
  RETURN_IF_ERROR(CheckShape(*shape, {2}, "a matrix's shape"));
  uint64_t rows = 0, columns = 0;
  std::memcpy(&rows, shape->data.data(), 8);
  std::memcpy(&columns, shape->data.data() + 8, 8);
  const uint64_t per_word = 32 / static_cast<uint64_t>(bits);
  const uint64_t groups = scales->second.shape[1];
  const bool fits = !words->data.empty() && columns > 0 && columns <= UINT32_MAX &&
                    words->shape[0] == rows &&
                    words->shape[1] == (columns + per_word - 1) / per_word &&
                    scales->second.shape[0] == rows && groups > 0 && columns % groups == 0;
  if (!fits) {
    return Fail(
        Code::kInvalidArgument,
        StrCat("tensor \"", name, "\" of shape [", rows, ", ", columns, "] cannot lie in ",
               ShowShape(words->shape), " words with scales ", ShowShape(scales->second.shape)));
  }
  const auto encoding = std::make_shared<PackedInt>(*words, scales->second, columns, bits);
  return Replace(tensors, {words_name, scales_name, shape_name}, name, {rows, columns}, encoding);
}

// The bits of the weights; all groups of the configuration must agree.
Result<uint64_t> ReadBits(const JsonObject& quantization) {
  ASSIGN_OR_RETURN(const JsonObject groups, quantization.Object("config_groups"));
  uint64_t bits = 0;
  for (const auto& entry : groups.object()) {
    ASSIGN_OR_RETURN(const JsonObject group,
                     groups.Object({entry.key().data(), entry.key().size()}));
    ASSIGN_OR_RETURN(const JsonObject weights, group.Object("weights"));
    ASSIGN_OR_RETURN(const uint64_t own, weights.Uint("num_bits", 1, 32));
    if ((own != 4 && own != 8) || (bits != 0 && own != bits)) {
      return Fail(Code::kUnimplemented, StrCat(weights.where(), ": num_bits: ", own,
                                               " is not supported; 4 or 8 for all groups are"));
    }
    bits = own;
  }
  if (bits == 0) return quantization.Wrong("config_groups", "expected at least one group");
  return bits;
}

}  // namespace

Status ReadCompressedTensors(const JsonObject& quantization, TensorMap& tensors) {
  ASSIGN_OR_RETURN(const std::string format, quantization.TextOr("format", "none"));
  if (format == "float-quantized") return ReadFp8(quantization, tensors);
  if (format != "pack-quantized") {
    return Fail(Code::kUnimplemented,
                StrCat(quantization.where(), ": format: \"", format,
                       "\" is not supported; pack-quantized and float-quantized are"));
  }
  ASSIGN_OR_RETURN(const uint64_t bits, ReadBits(quantization));
  for (const std::string& name : NamesEndingWith(tensors, "_packed")) {
    RETURN_IF_ERROR(ReadPacked(name, static_cast<int>(bits), tensors));
  }
  return {};
}

}  // namespace shoal::model
