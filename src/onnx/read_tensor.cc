#include <limits>

#include "base/str_cat.h"
#include "onnx/fields.h"
#include "onnx/read.h"
#include "onnx/read_parts.h"

namespace shoal::onnx::internal {

namespace {

// Whether `text` is well-formed UTF-8 (RFC 3629): no overlong forms, surrogates or numbers past
// U+10FFFF.
bool IsUtf8(Bytes text) {
  size_t at = 0;
  while (at < text.size()) {
    const uint8_t lead = text[at++];
    if (lead < 0x80) continue;
    const size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || text.size() - at < more) return false;
    uint32_t code = lead & (0x3fu >> more);
    for (size_t i = 0; i < more; ++i) {
      if ((text[at] & 0xc0) != 0x80) return false;
      code = code << 6 | (text[at++] & 0x3f);
    }
    const uint32_t least = more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80;
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
  }
  return true;
}

// The decimal number of an external data entry.
Result<uint64_t> ReadDecimal(const Entry& entry) {
  uint64_t value = 0;
  for (const char c : entry.value) {
    if (c < '0' || c > '9' || __builtin_mul_overflow(value, uint64_t{10}, &value) ||
        __builtin_add_overflow(value, static_cast<uint64_t>(c - '0'), &value)) {
      return Fail(Code::kInvalidArgument, StrCat("external data ", entry.key, " \"", entry.value,
                                                 "\" is not a number of bytes"));
    }
  }
  if (entry.value.empty()) {
    return Fail(Code::kInvalidArgument, StrCat("external data ", entry.key, " is empty"));
  }
  return value;
}

// int32_data holds one element per number for all types of up to 32 bits; 16-bit floats by their
// bits.
Status NarrowInt32Data(const std::vector<int64_t>& numbers, DType type, ByteVector& raw) {
  const size_t size = DTypeBytes(type);
  int64_t low = 0;
  int64_t high = 0;
  switch (type) {
    case DType::kI32:
      low = std::numeric_limits<int32_t>::min();
      high = std::numeric_limits<int32_t>::max();
      break;
    case DType::kI8:
      low = -128;
      high = 127;
      break;
    case DType::kBool:
      high = 1;
      break;
    case DType::kU8:
    case DType::kF8E4M3:
      high = 255;
      break;
    case DType::kF16:
    case DType::kBF16:
      high = 65535;
      break;
    default:
      return Fail(Code::kInvalidArgument,
                  StrCat("int32_data in a tensor of type ", DTypeName(type)));
  }
  raw.reserve(numbers.size() * size);
  for (const int64_t number : numbers) {
    if (number < low || number > high) {
      return Fail(Code::kInvalidArgument,
                  StrCat("int32_data holds ", number, ", which no ", DTypeName(type), " is"));
    }
    const auto* little_endian = reinterpret_cast<const uint8_t*>(&number);
    raw.insert(raw.end(), little_endian, little_endian + size);
  }
  return {};
}

// The fields of one TensorProto before they are put together.
struct TensorParts {
  int64_t data_type = 0;
  bool is_external = false;
  bool has_raw = false;
  std::vector<int64_t> int32_data;
  std::vector<int64_t> int64_data;
  ByteVector float_data;
  ByteVector double_data;
  std::vector<Entry> external;
};

Status ReadTensorField(const FieldReader& field, PartBudget& budget, Tensor& tensor,
                       TensorParts& parts) {
  namespace f = fields::tensor;
  switch (field.number()) {
    case f::kDims:
      return AppendInts(field, "dims", tensor.dims);
    case f::kDataType: {
      ASSIGN_OR_RETURN(parts.data_type, IntOf(field, "data_type"));
      return {};
    }
    case f::kFloatData:
      return AppendFixed(field, "float_data", 4, parts.float_data);
    case f::kDoubleData:
      return AppendFixed(field, "double_data", 8, parts.double_data);
    case f::kInt32Data:
      return AppendInts(field, "int32_data", parts.int32_data);
    case f::kInt64Data:
      return AppendInts(field, "int64_data", parts.int64_data);
    case f::kName: {
      ASSIGN_OR_RETURN(tensor.name, NameOf(field, "a tensor's name"));
      return {};
    }
    case f::kRawData: {
      ASSIGN_OR_RETURN(const Bytes raw, BytesOf(field, "raw_data"));
      tensor.raw.assign(raw.begin(), raw.end());
      parts.has_raw = true;
      return {};
    }
    case f::kExternalData: {
      RETURN_IF_ERROR(budget.Take());
      ASSIGN_OR_RETURN(const Bytes message, BytesOf(field, "external_data"));
      ASSIGN_OR_RETURN(Entry entry, ReadEntry(message, "external_data", kMaxNameBytes));
      parts.external.push_back(std::move(entry));
      return {};
    }
    case f::kDataLocation: {
      ASSIGN_OR_RETURN(const int64_t location, IntOf(field, "data_location"));
      parts.is_external = location == f::kLocationExternal;
      return {};
    }
    case f::kStringData:
      return Fail(Code::kUnimplemented, "tensors of strings are not supported");
    case f::kUint64Data:
      return Fail(Code::kUnimplemented, "tensors of unsigned numbers are not supported");
    case f::kSegment:
      return Fail(Code::kUnimplemented, "segmented tensors are not supported");
    default:
      return {};
  }
}

Status FinishExternal(const TensorParts& parts, int64_t element_count, Tensor& tensor) {
  if (parts.has_raw || !parts.float_data.empty() || !parts.double_data.empty() ||
      !parts.int32_data.empty() || !parts.int64_data.empty()) {
    return Fail(Code::kInvalidArgument, "has both external and inline data");
  }
  ExternalData external;
  bool has_length = false;
  for (const Entry& entry : parts.external) {
    if (entry.key == "location") {
      external.location = entry.value;
    } else if (entry.key == "offset") {
      ASSIGN_OR_RETURN(external.offset, ReadDecimal(entry));
    } else if (entry.key == "length") {
      ASSIGN_OR_RETURN(external.length, ReadDecimal(entry));
      has_length = true;
    }
  }
  if (external.location.empty()) {
    return Fail(Code::kInvalidArgument, "external data has no location");
  }
  if (!has_length && __builtin_mul_overflow(static_cast<uint64_t>(element_count),
                                            DTypeBytes(tensor.type), &external.length)) {
    return Fail(Code::kInvalidArgument, "has more bytes than can be counted");
  }
  tensor.external = std::move(external);
  return {};
}

// Brings the typed data fields into `raw`. At most one of the five fields may hold anything.
Status FinishInline(TensorParts& parts, Tensor& tensor) {
  const int kinds = (parts.has_raw ? 1 : 0) + (parts.float_data.empty() ? 0 : 1) +
                    (parts.double_data.empty() ? 0 : 1) + (parts.int32_data.empty() ? 0 : 1) +
                    (parts.int64_data.empty() ? 0 : 1);
  if (kinds > 1) return Fail(Code::kInvalidArgument, "has its data in several fields");
  const auto wrong_field = [&](std::string_view name) {
    return Fail(Code::kInvalidArgument,
                StrCat(name, " in a tensor of type ", DTypeName(tensor.type)));
  };
  if (!parts.float_data.empty()) {
    if (tensor.type != DType::kF32) return wrong_field("float_data");
    tensor.raw = std::move(parts.float_data);
  } else if (!parts.double_data.empty()) {
    if (tensor.type != DType::kF64) return wrong_field("double_data");
    tensor.raw = std::move(parts.double_data);
  } else if (!parts.int64_data.empty()) {
    if (tensor.type != DType::kI64) return wrong_field("int64_data");
    ByteWriter writer(tensor.raw);
    for (const int64_t number : parts.int64_data) writer.Write(number);
  } else if (!parts.int32_data.empty()) {
    return NarrowInt32Data(parts.int32_data, tensor.type, tensor.raw);
  }
  return {};
}

Status FinishTensor(TensorParts& parts, Tensor& tensor) {
  const std::optional<DType> type = parts.data_type >= 0 && parts.data_type < 256
                                        ? DTypeFromOnnx(static_cast<int32_t>(parts.data_type))
                                        : std::nullopt;
  if (!type) {
    return Fail(Code::kUnimplemented,
                StrCat("has element type ", parts.data_type, ", which Shoal does not know"));
  }
  tensor.type = *type;
  if (tensor.dims.size() > kMaxRank) {
    return Fail(Code::kResourceExhausted,
                StrCat("has ", tensor.dims.size(), " dims, more than ", kMaxRank));
  }
  const std::optional<int64_t> count = CheckedElementCount(tensor.dims);
  if (!count) {
    return Fail(Code::kInvalidArgument, "has a negative dim or more elements than can be counted");
  }
  return parts.is_external ? FinishExternal(parts, *count, tensor) : FinishInline(parts, tensor);
}

}  // namespace

Status PartBudget::Take() {
  if (++used_ <= kMaxParts) return {};
  return Fail(Code::kResourceExhausted, StrCat("more than ", kMaxParts, " parts"));
}

Result<Bytes> BytesOf(const FieldReader& field, std::string_view what) {
  if (field.type() == WireType::kBytes) return field.bytes();
  return Fail(Code::kInvalidArgument, StrCat(what, " is a number where bytes belong"));
}

Result<int64_t> IntOf(const FieldReader& field, std::string_view what) {
  if (field.type() == WireType::kVarint) return static_cast<int64_t>(field.scalar());
  return Fail(Code::kInvalidArgument, StrCat(what, " is not stored as an integer"));
}

Result<std::string> TextOf(const FieldReader& field, std::string_view what, size_t bytes_max) {
  ASSIGN_OR_RETURN(const Bytes text, BytesOf(field, what));
  if (text.size() > bytes_max) {
    return Fail(Code::kResourceExhausted,
                StrCat(what, " has ", text.size(), " bytes, more than ", bytes_max));
  }
  if (!IsUtf8(text)) return Fail(Code::kInvalidArgument, StrCat(what, " is not UTF-8 text"));
  return std::string(AsText(text));
}

Result<std::string> NameOf(const FieldReader& field, std::string_view what) {
  return TextOf(field, what, kMaxNameBytes);
}

Status AppendInts(const FieldReader& field, std::string_view what, std::vector<int64_t>& out) {
  if (field.type() == WireType::kVarint) {
    out.push_back(static_cast<int64_t>(field.scalar()));
    return {};
  }
  ASSIGN_OR_RETURN(Bytes packed, BytesOf(field, what));
  while (!packed.empty()) {
    uint64_t value = 0;
    if (!TakeVarint(packed, value)) {
      return Fail(Code::kInvalidArgument, StrCat(what, " ends inside a number"));
    }
    out.push_back(static_cast<int64_t>(value));
  }
  return {};
}

Status AppendFixed(const FieldReader& field, std::string_view what, size_t size, ByteVector& out) {
  if (field.type() == (size == 4 ? WireType::kFixed32 : WireType::kFixed64)) {
    const uint64_t bits = field.scalar();
    const auto* little_endian = reinterpret_cast<const uint8_t*>(&bits);
    out.insert(out.end(), little_endian, little_endian + size);
    return {};
  }
  ASSIGN_OR_RETURN(const Bytes packed, BytesOf(field, what));
  if (packed.size() % size != 0) {
    return Fail(Code::kInvalidArgument, StrCat(what, " ends inside a number"));
  }
  out.insert(out.end(), packed.begin(), packed.end());
  return {};
}

Status CheckEnd(const FieldReader& reader, std::string_view what) {
  if (reader.ok()) return {};
  return Fail(Code::kInvalidArgument, StrCat(what, " is truncated or not protobuf"));
}

Result<Entry> ReadEntry(Bytes message, std::string_view what, size_t value_bytes_max) {
  Entry entry;
  FieldReader field(message);
  while (field.Next()) {
    if (field.number() == fields::entry::kKey) {
      ASSIGN_OR_RETURN(entry.key, NameOf(field, what));
    } else if (field.number() == fields::entry::kValue) {
      ASSIGN_OR_RETURN(entry.value, TextOf(field, what, value_bytes_max));
    }
  }
  RETURN_IF_ERROR(CheckEnd(field, what));
  return entry;
}

Result<Tensor> ReadTensor(Bytes message, PartBudget& budget) {
  Tensor tensor;
  TensorParts parts;
  FieldReader field(message);
  Status status;
  while (status && field.Next()) status = ReadTensorField(field, budget, tensor, parts);
  if (status) status = CheckEnd(field, "its message");
  if (status) status = FinishTensor(parts, tensor);
  if (!status) {
    return FailWithContext(std::move(status).error(), StrCat("tensor \"", tensor.name, "\""));
  }
  return tensor;
}

}  // namespace shoal::onnx::internal
