#include <algorithm>
#include <optional>

#include "base/str_cat.h"
#include "model/quantised.h"

namespace shoal::model {

namespace {

struct Options {
  uint32_t bits = 4;
  std::optional<uint64_t> group;  // Nothing: all inputs share a scale.
  // What is added to a stored zero point: version 1 of the format stores one less.
  uint8_t zero_offset = 1;
};

Result<Options> ReadOptions(const JsonObject& quantization) {
  Options options;
  ASSIGN_OR_RETURN(const uint64_t bits, quantization.Uint("bits", 1, 32));
  if (bits != 4 && bits != 8) {
    return Fail(Code::kUnimplemented,
                StrCat(quantization.where(), ": bits: ", bits, " is not supported; 4 and 8 are"));
  }
  options.bits = static_cast<uint32_t>(bits);
  ASSIGN_OR_RETURN(const double group, quantization.NumberOr("group_size", 128, -1, kMaxGroup));
  if (group >= 1) options.group = static_cast<uint64_t>(group);
  ASSIGN_OR_RETURN(const std::string format, quantization.TextOr("checkpoint_format", "gptq"));
  if (format != "gptq" && format != "gptq_v2") {
    return Fail(Code::kUnimplemented, StrCat(quantization.where(), ": checkpoint_format: \"",
                                             format, "\" is not supported; gptq and gptq_v2 are"));
  }
  options.zero_offset = format == "gptq" ? 1 : 0;
  return options;
}

struct Parts {
  TensorView weight;
  TensorView zeros;
  TensorView scales;
  uint64_t inputs = 0;
  uint64_t outputs = 0;
};

// Codes of inputs lie packed in 32-bit words along the inputs, zero points along the outputs.
class GptqCodes {
 public:
  GptqCodes(Parts parts, const Options& options)
      : parts_(std::move(parts)),
        bits_(options.bits),
        per_word_(32 / options.bits),
        mask_((1u << options.bits) - 1),
        zero_offset_(options.zero_offset) {}

  int Code(uint64_t output, uint64_t input) const {
    const uint64_t word = input / per_word_ * parts_.outputs + output;
    const auto shift = static_cast<uint32_t>(input % per_word_) * bits_;
    return static_cast<int>((Word32At(parts_.weight.data, word) >> shift) & mask_);
  }
  int Zero(uint64_t output, uint64_t group) const {
    const uint64_t word = group * (parts_.outputs / per_word_) + output / per_word_;
    const auto shift = static_cast<uint32_t>(output % per_word_) * bits_;
    const uint32_t stored = (Word32At(parts_.zeros.data, word) >> shift) & mask_;
    return static_cast<int>(stored) + zero_offset_;
  }
  float Scale(uint64_t output, uint64_t group) const {
    return FloatAt(parts_.scales, group * parts_.outputs + output);
  }
  const Parts& parts() const { return parts_; }

 private:
  Parts parts_;
  uint32_t bits_;
  uint32_t per_word_;
  uint32_t mask_;
  int zero_offset_;
};

// Inputs in order, each group of neighbours with its scale.
class GptqInOrder : public CodedEncoding {
 public:
  GptqInOrder(GptqCodes codes, int bits, uint64_t group, bool symmetric)
      : CodedEncoding(
            {codes.parts().weight.data, codes.parts().zeros.data, codes.parts().scales.data},
            codes.parts().outputs, codes.parts().inputs, bits, group, symmetric),
        codes_(std::move(codes)) {}

  void ReadCodes(uint64_t row, std::span<uint8_t> codes) const override {
    for (uint64_t input = 0; input < codes.size(); ++input) {
      codes[input] = static_cast<uint8_t>(codes_.Code(row, input));
    }
  }
  void ReadScales(uint64_t row, std::span<float> scales, std::span<uint8_t> zeros) const override {
    for (uint64_t group = 0; group < scales.size(); ++group) {
      scales[group] = codes_.Scale(row, group);
      zeros[group] = static_cast<uint8_t>(codes_.Zero(row, group));
    }
  }

 private:
  const GptqCodes codes_;
};

// Every input names its group ("desc_act"), or a zero point is too large for a code.
class GptqByIndex : public Encoding {
 public:
  GptqByIndex(GptqCodes codes, std::vector<uint32_t> group_of_input)
      : Encoding({codes.parts().weight.data, codes.parts().zeros.data, codes.parts().scales.data}),
        codes_(std::move(codes)),
        group_of_input_(std::move(group_of_input)) {}

  void Read(uint64_t first, std::span<float> out) const override {
    for (size_t i = 0; i < out.size(); ++i) {
      const uint64_t output = (first + i) / group_of_input_.size();
      const uint64_t input = (first + i) % group_of_input_.size();
      const uint32_t group = group_of_input_[input];
      const int distance = codes_.Code(output, input) - codes_.Zero(output, group);
      out[i] = codes_.Scale(output, group) * static_cast<float>(distance);
    }
  }

 private:
  const GptqCodes codes_;
  const std::vector<uint32_t> group_of_input_;
};

Result<Parts> FindParts(const std::string& name, const Options& options, uint64_t& group,
                        const TensorMap& tensors) {
  ASSIGN_OR_RETURN(const TensorView* weight,
                   NeedPart(tensors, name + ".qweight", DType::kI32, 2, name));
  ASSIGN_OR_RETURN(const TensorView* zeros,
                   NeedPart(tensors, name + ".qzeros", DType::kI32, 2, name));
  const auto scales = tensors.find(name + ".scales");
  if (scales == tensors.end() || !IsFloat(scales->second.type)) {
    return Fail(Code::kInvalidArgument,
                StrCat("tensor \"", name, ".scales\" is missing, or does not hold floats"));
  }
  const uint64_t per_word = 32 / options.bits;
  Parts parts{*weight, *zeros, scales->second, weight->shape[0] * per_word, weight->shape[1]};
  if (weight->data.empty() || parts.outputs % per_word != 0) {
    return Fail(Code::kInvalidArgument,
                StrCat("tensor \"", weight->name, "\" has shape ", ShowShape(weight->shape),
                       "; expected a multiple of ", per_word, " columns"));
  }
  group = std::min(options.group.value_or(parts.inputs), parts.inputs);
  const uint64_t groups = (parts.inputs + group - 1) / group;
  const std::string why = StrCat("for groups of ", group, " of ", parts.inputs, " inputs");
  RETURN_IF_ERROR(CheckShape(parts.zeros, {groups, parts.outputs / per_word}, why));
  RETURN_IF_ERROR(CheckShape(parts.scales, {groups, parts.outputs}, why));
  return parts;
}

// The group of every input; in order without a list.
Result<std::vector<uint32_t>> ReadGroups(const std::string& name, uint64_t inputs, uint64_t group,
                                         const TensorMap& tensors) {
  std::vector<uint32_t> groups(inputs);
  for (uint64_t input = 0; input < inputs; ++input) {
    groups[input] = static_cast<uint32_t>(input / group);
  }
  const uint64_t count = groups.back() + 1;
  if (!tensors.contains(name + ".g_idx")) return groups;
  ASSIGN_OR_RETURN(const TensorView* list,
                   NeedPart(tensors, name + ".g_idx", DType::kI32, 1, name));
  RETURN_IF_ERROR(CheckShape(*list, {inputs}, "the group of each input"));
  for (uint64_t input = 0; input < inputs; ++input) {
    groups[input] = Word32At(list->data, input);
    if (groups[input] >= count) {
      return Fail(Code::kInvalidArgument,
                  StrCat("tensor \"", list->name, "\" names group ",
                         static_cast<int32_t>(groups[input]), " of ", count));
    }
  }
  return groups;
}

Status ReadOne(const std::string& name, const Options& options, TensorMap& tensors) {
  uint64_t group = 0;
  ASSIGN_OR_RETURN(Parts parts, FindParts(name, options, group, tensors));
  const std::vector<uint64_t> shape = {parts.outputs, parts.inputs};
  ASSIGN_OR_RETURN(std::vector<uint32_t> groups, ReadGroups(name, shape[1], group, tensors));
  const uint64_t group_count = (shape[1] + group - 1) / group;
  GptqCodes codes(std::move(parts), options);

  bool in_order = true, symmetric = true;
  for (uint64_t input = 0; input < shape[1]; ++input) in_order &= groups[input] == input / group;
  const int middle = 1 << (options.bits - 1);
  for (uint64_t of = 0; of < group_count; ++of) {
    for (uint64_t output = 0; output < shape[0]; ++output) {
      const int zero = codes.Zero(output, of);
      symmetric &= zero == middle;
      in_order &= zero < 2 * middle;
    }
  }
  std::shared_ptr<const Encoding> encoding;
  if (in_order) {
    encoding = std::make_shared<GptqInOrder>(std::move(codes), static_cast<int>(options.bits),
                                             group, symmetric);
  } else {
    encoding = std::make_shared<GptqByIndex>(std::move(codes), std::move(groups));
  }
  return Replace(tensors, {name + ".qweight", name + ".qzeros", name + ".scales", name + ".g_idx"},
                 name + ".weight", shape, std::move(encoding));
}

}  // namespace

Status ReadGptq(const JsonObject& quantization, TensorMap& tensors) {
  ASSIGN_OR_RETURN(const Options options, ReadOptions(quantization));
  for (const std::string& name : NamesEndingWith(tensors, ".qweight")) {
    RETURN_IF_ERROR(ReadOne(name, options, tensors));
  }
  return {};
}

}  // namespace shoal::model
