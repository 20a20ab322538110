#include "model/safetensors.h"

#include <algorithm>
#include <optional>

#include "base/str_cat.h"
#include "model/json.h"

namespace shoal::model {

namespace {

constexpr uint64_t kMaxHeaderBytes = 32u << 20;
constexpr size_t kMaxTensorDims = 8;
constexpr size_t kMaxTensorNameBytes = 1024;

struct TypeName {
  std::string_view name;
  DType type;
};
constexpr TypeName kTypeNames[] = {
    {"F64", DType::kF64},        {"F32", DType::kF32}, {"F16", DType::kF16},
    {"BF16", DType::kBF16},      {"I64", DType::kI64}, {"I32", DType::kI32},
    {"I8", DType::kI8},          {"U8", DType::kU8},   {"BOOL", DType::kBool},
    {"F8_E4M3", DType::kF8E4M3},
};

std::optional<DType> FindType(std::string_view name) {
  for (const TypeName& entry : kTypeNames) {
    if (entry.name == name) return entry.type;
  }
  return std::nullopt;
}

// Bytes of a tensor; nothing when they do not fit 63 bits.
std::optional<uint64_t> TensorBytes(const std::vector<uint64_t>& shape, DType type) {
  uint64_t bytes = DTypeBytes(type);
  for (const uint64_t size : shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes) || bytes > INT64_MAX) return std::nullopt;
  }
  return bytes;
}

// `data` is everything after the header.
Result<TensorView> ReadTensor(std::string name, const JsonObject& entry, Bytes data) {
  TensorView tensor;
  tensor.name = std::move(name);
  ASSIGN_OR_RETURN(const std::string type_name, entry.Text("dtype", 32));
  const std::optional<DType> type = FindType(type_name);
  if (!type) return entry.Wrong("dtype", StrCat("\"", type_name, "\" is not a dtype Shoal reads"));
  tensor.type = *type;
  ASSIGN_OR_RETURN(tensor.shape, entry.Uints("shape", INT64_MAX, kMaxTensorDims));
  ASSIGN_OR_RETURN(const std::vector<uint64_t> range, entry.Uints("data_offsets", INT64_MAX, 2));
  if (range.size() != 2 || range[0] > range[1]) {
    return entry.Wrong("data_offsets", "expected [begin, end] with begin <= end");
  }
  const std::optional<uint64_t> bytes = TensorBytes(tensor.shape, tensor.type);
  if (!bytes || *bytes != range[1] - range[0]) {
    return entry.Wrong("data_offsets", StrCat(range[1] - range[0], " bytes cannot hold ", type_name,
                                              " ", ShowShape(tensor.shape)));
  }
  if (range[1] > data.size()) {
    return Fail(Code::kDataLoss, StrCat(entry.where(), ": ends at byte ", range[1],
                                        " of the data, but the file has ", data.size(),
                                        " bytes of data: it is truncated"));
  }
  tensor.data = data.subspan(range[0], range[1] - range[0]);
  return tensor;
}

// `tensors` are in the order of their bytes.
Status CheckCoverage(const std::vector<TensorView>& tensors, Bytes data, std::string_view where) {
  const uint8_t* expected = data.data();
  for (const TensorView& tensor : tensors) {
    if (tensor.data.data() != expected) {
      return Fail(Code::kInvalidArgument,
                  StrCat(where, ": the bytes of \"", tensor.name, "\" ",
                         tensor.data.data() < expected ? "overlap those of another tensor"
                                                       : "follow a gap"));
    }
    expected += tensor.data.size();
  }
  if (expected != data.data() + data.size()) {
    return Fail(Code::kInvalidArgument, StrCat(where, ": ", data.data() + data.size() - expected,
                                               " bytes at the end belong to no tensor"));
  }
  return {};
}

}  // namespace

std::string ShowShape(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (const uint64_t size : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

Result<std::vector<TensorView>> ParseSafetensors(Bytes file, std::string_view where) {
  ByteReader reader(file);
  const uint64_t header_bytes = reader.Read<uint64_t>();
  if (!reader.ok()) {
    return Fail(Code::kDataLoss, StrCat(where, ": only ", file.size(), " bytes: not a safetensors",
                                        " file, or a truncated one"));
  }
  if (header_bytes > kMaxHeaderBytes) {
    return Fail(Code::kInvalidArgument,
                StrCat(where, ": a header of ", header_bytes, " bytes: not a safetensors file (at",
                       " most ", kMaxHeaderBytes, ")"));
  }
  if (header_bytes > reader.remaining()) {
    return Fail(Code::kDataLoss, StrCat(where, ": the header should have ", header_bytes,
                                        " bytes, but the file ends after ", reader.remaining(),
                                        ": it is truncated"));
  }
  const std::string_view header = AsText(reader.ReadBytes(header_bytes));
  const Bytes data = reader.ReadBytes(reader.remaining());
  ASSIGN_OR_RETURN(const boost::json::value value, ParseJson(header, where));
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::From(value, std::string(where)));

  std::vector<TensorView> tensors;
  for (const auto& [key, entry] : object.object()) {
    const std::string name(key.data(), key.size());
    if (name == "__metadata__") continue;
    if (name.empty() || name.size() > kMaxTensorNameBytes) {
      return Fail(Code::kInvalidArgument, StrCat(where, ": a tensor name of ", name.size(),
                                                 " bytes; expected 1 to ", kMaxTensorNameBytes));
    }
    ASSIGN_OR_RETURN(const JsonObject fields,
                     JsonObject::From(entry, StrCat(where, ": tensor \"", name, "\"")));
    ASSIGN_OR_RETURN(TensorView tensor, ReadTensor(name, fields, data));
    tensors.push_back(std::move(tensor));
  }
  std::ranges::sort(tensors, [](const TensorView& a, const TensorView& b) {
    if (a.data.data() != b.data.data()) return a.data.data() < b.data.data();
    return a.data.size() < b.data.size();
  });
  RETURN_IF_ERROR(CheckCoverage(tensors, data, where));
  return tensors;
}

}  // namespace shoal::model
