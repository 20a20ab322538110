#include "packer/float_format.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/str_cat.h"
#include "tensor/convert.h"

namespace shoal::packer {

namespace {

// Floats that are converted and written at a time.
constexpr uint64_t kFloatBandElements = 4u << 20;
// Rows of the source that are transposed together, so that whole cache lines are written.
constexpr uint64_t kTileRows = 16;

// Converts and writes float values, and refuses those that do not survive it.
class ValueWriter {
 public:
  ValueWriter(const model::TensorView& tensor, DType type, store::BlobWriter& blob)
      : tensor_(tensor), type_(type), blob_(blob) {}

  Status Write(std::span<const float> values) {
    if (!AllFinite(values)) {
      return Fail(Code::kInvalidArgument,
                  StrCat("tensor \"", tensor_.name, "\" holds a value that is not finite"));
    }
    if (type_ == DType::kF32) {
      return blob_.Write({reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
    }
    narrow_.resize(values.size() * DTypeBytes(type_));
    FromF32(type_, values, narrow_);
    for (size_t i = 0; i < values.size(); ++i) {
      uint16_t bits;
      std::memcpy(&bits, narrow_.data() + 2 * i, 2);
      if ((bits & 0x7c00) == 0x7c00) {
        return Fail(Code::kInvalidArgument,
                    StrCat("tensor \"", tensor_.name, "\" holds ", values[i],
                           ", which is too large for f16; pack it with --weights f32"));
      }
    }
    return blob_.Write(narrow_);
  }

 private:
  const model::TensorView& tensor_;
  DType type_;
  store::BlobWriter& blob_;
  ByteVector narrow_;
};

Status WriteInOrder(const model::TensorView& tensor, ValueWriter& writer) {
  const size_t element = DTypeBytes(tensor.type);
  std::vector<float> band;
  for (uint64_t at = 0; at < tensor.data.size(); at += kFloatBandElements * element) {
    const Bytes part = tensor.data.subspan(
        at, std::min<uint64_t>(kFloatBandElements * element, tensor.data.size() - at));
    band.resize(part.size() / element);
    ToF32(tensor.type, part, band);
    RETURN_IF_ERROR(writer.Write(band));
  }
  return {};
}

// Writes a row-major [rows, columns] tensor as [columns, rows], a band of columns at a time.
Status WriteTransposed(const model::TensorView& tensor, ValueWriter& writer) {
  CHECK(tensor.shape.size() == 2);
  const uint64_t rows = tensor.shape[0];
  const uint64_t columns = tensor.shape[1];
  const size_t element = DTypeBytes(tensor.type);
  const uint64_t band_columns = std::clamp<uint64_t>(kFloatBandElements / rows, 1, columns);
  std::vector<float> band;
  std::vector<float> tile(kTileRows * band_columns);
  for (uint64_t first = 0; first < columns; first += band_columns) {
    const uint64_t width = std::min(band_columns, columns - first);
    band.resize(rows * width);
    for (uint64_t row = 0; row < rows; row += kTileRows) {
      const uint64_t height = std::min(kTileRows, rows - row);
      for (uint64_t i = 0; i < height; ++i) {
        ToF32(tensor.type,
              tensor.data.subspan(((row + i) * columns + first) * element, width * element),
              std::span(tile).subspan(i * width, width));
      }
      for (uint64_t column = 0; column < width; ++column) {
        float* out = band.data() + column * rows + row;
        for (uint64_t i = 0; i < height; ++i) out[i] = tile[i * width + column];
      }
    }
    RETURN_IF_ERROR(writer.Write(band));
  }
  return {};
}

}  // namespace

FloatFormat::FloatFormat(DType type) : type_(type) {
  CHECK(type == DType::kF32 || type == DType::kF16);
}

std::string_view FloatFormat::name() const { return DTypeName(type_); }

std::vector<StoredPart> FloatFormat::Parts(model::WeightKind kind,
                                           const std::vector<uint64_t>& shape) const {
  std::vector<int64_t> dims(shape.begin(), shape.end());
  if (kind == model::WeightKind::kMatrix) std::ranges::reverse(dims);
  return {{"", kind == model::WeightKind::kVector ? DType::kF32 : type_, std::move(dims)}};
}

Status FloatFormat::Write(model::WeightKind kind, model::WeightReader& weight,
                          store::BlobWriter& blob) const {
  RETURN_IF_ERROR(blob.Align(kPartAlignment));
  for (uint64_t index = 0; index < weight.slice_count(); ++index) {
    const model::TensorView tensor = weight.Slice(index);
    ValueWriter writer(tensor, kind == model::WeightKind::kVector ? DType::kF32 : type_, blob);
    if (kind == model::WeightKind::kMatrix) {
      RETURN_IF_ERROR(WriteTransposed(tensor, writer));
    } else {
      RETURN_IF_ERROR(WriteInOrder(tensor, writer));
    }
  }
  return {};
}

std::string FloatFormat::AddMatrix(GraphBuilder& graph, const std::string& name,
                                   const PlacedWeight& weight) const {
  CHECK(weight.parts.size() == 1);
  const std::string matrix = graph.External(weight.parts.front());
  return type_ == DType::kF32 ? matrix : graph.CastToFloat(name + ".widen", matrix);
}

std::string FloatFormat::AddProduct(GraphBuilder& graph, const std::string& name,
                                    const std::string& input, const PlacedWeight& weight,
                                    const std::string& output) const {
  return graph.Add("MatMul", name, {input, AddMatrix(graph, name, weight)}, {}, output);
}

std::string FloatFormat::AddHeadProduct(GraphBuilder& graph, const std::string& name,
                                        const std::string& input,
                                        const PlacedWeight& weight) const {
  return AddProduct(graph, name, input, weight, "");
}

std::string FloatFormat::AddExperts(GraphBuilder& graph, const std::string& name,
                                    const ExpertInputs& inputs,
                                    std::vector<onnx::Attribute> attributes) const {
  const std::string in = AddMatrix(graph, name + ".in", *inputs.in);
  const std::string out = AddMatrix(graph, name + ".out", *inputs.out);
  const std::string result = graph.prefix() + name;
  graph.AddMicrosoft("MoE", name,
                     {inputs.rows, inputs.scores, in, inputs.in_bias, out, inputs.out_bias},
                     {result}, std::move(attributes));
  return result;
}

void FloatFormat::AddLookup(GraphBuilder& graph, const std::string& name, const std::string& ids,
                            const PlacedWeight& weight, const std::string& output) const {
  CHECK(weight.parts.size() == 1);
  const std::string table = graph.External(weight.parts.front());
  const bool narrow = type_ != DType::kF32;
  const std::string rows_output = narrow ? std::string() : output;  // Only the last node's.
  std::string rows;
  if (weight.stored_as == model::WeightKind::kEmbedding) {
    rows = graph.Add("Gather", name, {table, ids}, {{"axis", int64_t{0}}}, rows_output);
  } else {
    const std::string columns = graph.Add("Gather", name, {table, ids},
                                          {{"axis", int64_t{1}}});  // [hidden, batch, sequence]
    rows = graph.Add("Transpose", name + ".transpose", {columns},
                     {{"perm", std::vector<int64_t>{1, 2, 0}}}, rows_output);
  }
  if (narrow) graph.CastToFloat(name + ".widen", rows, output);
}

}  // namespace shoal::packer
