#include "packer/quant_format.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/check.h"
#include "base/str_cat.h"
#include "packer/coded_block.h"
#include "tensor/convert.h"

namespace shoal::packer {

namespace {

constexpr auto kBlock = static_cast<int64_t>(kBlockValues);
// Values that are quantised between two writes.
constexpr uint64_t kQuantBandElements = 8u << 20;
// A block's scale, its largest magnitude over seven or more, is an f16.
constexpr float kLargestMagnitude = 65504.0f * 7;

// The rows [first, last) of a [rows, columns] tensor.
struct Band {
  uint64_t first = 0;
  uint64_t last = 0;
};

// Quantises a tensor band by band, each band's rows divided over the cores.
class TensorQuantizer {
 public:
  // `tensor` is slice `slice` of the weight.
  TensorQuantizer(BlockFormat format, const model::WeightReader& weight, uint64_t slice,
                  const model::TensorView& tensor)
      : format_(format),
        weight_(weight),
        slice_(slice),
        tensor_(tensor),
        rows_(tensor.shape[0]),
        columns_(tensor.shape[1]),
        blocks_(columns_ / kBlockValues),
        threads_(std::max(1u, std::thread::hardware_concurrency())) {}

  uint64_t rows() const { return rows_; }
  uint64_t scale_count() const { return rows_ * blocks_; }
  uint64_t band_rows() const {
    return std::clamp<uint64_t>(kQuantBandElements / columns_, 1, rows_);
  }

  // Fills `codes` with the band's and appends to `scales`.
  Status Quantize(Band band, ByteVector& codes, std::vector<uint16_t>& scales) const {
    const uint64_t count = band.last - band.first;
    codes.resize(count * row_code_bytes());
    scales.resize(scales.size() + count * blocks_);
    const std::span<uint16_t> band_scales = std::span(scales).last(count * blocks_);
    const uint64_t share = (count + threads_ - 1) / threads_;
    std::vector<Status> statuses((count + share - 1) / share);
    {
      std::vector<std::jthread> workers;
      for (uint64_t i = 0; i < statuses.size(); ++i) {
        const Band part{band.first + i * share, std::min(band.last, band.first + (i + 1) * share)};
        const uint64_t at = part.first - band.first;
        const auto run = [=, this, &codes, &statuses] {
          statuses[i] = QuantizeRows(part, std::span(codes).subspan(at * row_code_bytes()),
                                     band_scales.subspan(at * blocks_));
        };
        if (statuses.size() == 1) {
          run();
        } else {
          workers.emplace_back(run);
        }
      }
    }
    for (const Status& status : statuses) RETURN_IF_ERROR(status);
    return {};
  }

 private:
  uint64_t row_code_bytes() const { return blocks_ * BlockCodeBytes(format_); }

  Status QuantizeRows(Band band, std::span<uint8_t> codes, std::span<uint16_t> scales) const {
    const size_t row_bytes = columns_ * DTypeBytes(tensor_.type);
    std::vector<float> values(columns_);
    for (uint64_t row = band.first; row < band.last; ++row) {
      ToF32(tensor_.type, tensor_.data.subspan(row * row_bytes, row_bytes), values);
      RETURN_IF_ERROR(CheckValues(values));
      const uint64_t at = row - band.first;
      const std::span<uint8_t> row_codes = codes.subspan(at * row_code_bytes(), row_code_bytes());
      const std::span<uint16_t> row_scales = scales.subspan(at * blocks_, blocks_);
      if (const auto coded = weight_.FindCodedRow(slice_, row)) {
        KeepBlocks(CodedRow(*coded->matrix, coded->row), values, row_codes, row_scales);
      } else {
        QuantizeRow(format_, values, row_codes, row_scales);
      }
    }
    return {};
  }

  // Quantises only the blocks that cannot be taken over from the checkpoint.
  void KeepBlocks(const CodedRow& coded, std::span<const float> values, std::span<uint8_t> codes,
                  std::span<uint16_t> scales) const {
    const size_t block_bytes = BlockCodeBytes(format_);
    for (uint64_t block = 0; block < blocks_; ++block) {
      const std::span<uint8_t> block_codes = codes.subspan(block * block_bytes, block_bytes);
      if (coded.Copy(block, format_, block_codes, scales[block])) continue;
      QuantizeRow(format_, values.subspan(block * kBlockValues, kBlockValues), block_codes,
                  scales.subspan(block, 1));
    }
  }

  Status CheckValues(std::span<const float> values) const {
    for (const float value : values) {
      if (std::fabs(value) <= kLargestMagnitude) continue;
      if (!std::isfinite(value)) {
        return Fail(Code::kInvalidArgument,
                    StrCat("tensor \"", tensor_.name, "\" holds a value that is not finite"));
      }
      return Fail(Code::kInvalidArgument,
                  StrCat("tensor \"", tensor_.name, "\" holds ", value, ", which is too large for ",
                         BlockBits(format_) == 4 ? "q4" : "q8", "; pack it with --weights f32"));
    }
    return {};
  }

  const BlockFormat format_;
  const model::WeightReader& weight_;
  const uint64_t slice_;
  const model::TensorView& tensor_;
  const uint64_t rows_;
  const uint64_t columns_;
  const uint64_t blocks_;
  const uint64_t threads_;
};

}  // namespace

std::string_view QuantFormat::name() const { return format_ == BlockFormat::kQ4 ? "q4" : "q8"; }

std::vector<StoredPart> QuantFormat::Parts(model::WeightKind kind,
                                           const std::vector<uint64_t>& shape) const {
  const bool stack = kind == model::WeightKind::kExperts;
  CHECK(stack || kind == model::WeightKind::kMatrix || kind == model::WeightKind::kEmbedding);
  CHECK(shape.size() == (stack ? 3 : 2) && shape.back() % kBlockValues == 0);
  const auto blocks = static_cast<int64_t>(shape.back() / kBlockValues);
  const auto block_bytes = static_cast<int64_t>(BlockCodeBytes(format_));
  const std::vector<int64_t> outputs(shape.begin(), shape.end() - 1);
  StoredPart codes{".codes", DType::kU8, outputs};
  StoredPart scales{".scales", DType::kF16, outputs};
  scales.dims.push_back(blocks);
  if (kind == model::WeightKind::kMatrix) {
    codes.dims.insert(codes.dims.end(), {blocks, block_bytes});
  } else {
    codes.dims.push_back(blocks * block_bytes);
  }
  return {std::move(codes), std::move(scales)};
}

Status QuantFormat::Write(model::WeightKind, model::WeightReader& weight,
                          store::BlobWriter& blob) const {
  RETURN_IF_ERROR(blob.Align(kPartAlignment));
  ByteVector codes;
  std::vector<uint16_t> scales;
  for (uint64_t slice = 0; slice < weight.slice_count(); ++slice) {
    const model::TensorView tensor = weight.Slice(slice);
    const TensorQuantizer quantizer(format_, weight, slice, tensor);
    scales.reserve(quantizer.scale_count() * weight.slice_count());
    for (uint64_t row = 0; row < quantizer.rows(); row += quantizer.band_rows()) {
      const Band band{row, std::min(quantizer.rows(), row + quantizer.band_rows())};
      RETURN_IF_ERROR(quantizer.Quantize(band, codes, scales));
      RETURN_IF_ERROR(blob.Write(codes));
    }
  }
  RETURN_IF_ERROR(blob.Align(kPartAlignment));
  return blob.Write(
      {reinterpret_cast<const uint8_t*>(scales.data()), scales.size() * sizeof(uint16_t)});
}

std::string QuantFormat::AddScales(GraphBuilder& graph, const std::string& name,
                                   const PlacedWeight& weight) const {
  CHECK(weight.parts.size() == 2);
  return graph.CastToFloat(name + ".scales", graph.External(weight.parts[1]));
}

std::string QuantFormat::AddProduct(GraphBuilder& graph, const std::string& name,
                                    const std::string& input, const PlacedWeight& weight,
                                    const std::string& output) const {
  const std::string codes = graph.External(weight.parts[0]);
  const std::string scales = AddScales(graph, name, weight);
  const std::string product = output.empty() ? graph.prefix() + name : output;
  graph.AddMicrosoft("MatMulNBits", name, {input, codes, scales}, {product},
                     {{"K", static_cast<int64_t>(weight.spec.shape[1])},
                      {"N", static_cast<int64_t>(weight.spec.shape[0])},
                      {"bits", int64_t{BlockBits(format_)}},
                      {"block_size", kBlock}});
  return product;
}

std::string QuantFormat::AddHeadProduct(GraphBuilder&, const std::string& name, const std::string&,
                                        const PlacedWeight&) const {
  CHECK_MSG(false, name);
  return {};
}

std::string QuantFormat::AddExperts(GraphBuilder& graph, const std::string& name,
                                    const ExpertInputs& inputs,
                                    std::vector<onnx::Attribute> attributes) const {
  const std::string in = graph.External(inputs.in->parts[0]);
  const std::string in_scales = AddScales(graph, name + ".in", *inputs.in);
  const std::string out = graph.External(inputs.out->parts[0]);
  const std::string out_scales = AddScales(graph, name + ".out", *inputs.out);
  const std::string result = graph.prefix() + name;
  attributes.push_back({"expert_weight_bits", int64_t{BlockBits(format_)}});
  attributes.push_back({"block_size", kBlock});
  graph.AddMicrosoft(
      "QMoE", name,
      {inputs.rows, inputs.scores, in, in_scales, inputs.in_bias, out, out_scales, inputs.out_bias},
      {result}, std::move(attributes));
  return result;
}

void QuantFormat::AddLookup(GraphBuilder& graph, const std::string& name, const std::string& ids,
                            const PlacedWeight& weight, const std::string& output) const {
  onnx::Tensor codes = weight.parts[0];
  if (weight.stored_as == model::WeightKind::kMatrix) {
    // The head's product wants blocks apart, the look-up whole rows: of the same bytes.
    codes.name += ".rows";
    codes.dims = {codes.dims[0], codes.dims[1] * codes.dims[2]};
  }
  const std::string table = graph.External(codes);
  const std::string scales = AddScales(graph, name, weight);
  graph.AddMicrosoft("GatherBlockQuantized", name, {table, ids, scales}, {output},
                     {{"bits", int64_t{BlockBits(format_)}},
                      {"block_size", kBlock},
                      {"gather_axis", int64_t{0}},
                      {"quantize_axis", int64_t{1}}});
}

}  // namespace shoal::packer
