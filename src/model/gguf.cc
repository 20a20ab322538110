#include "model/gguf.h"

#include <cmath>
#include <set>

#include "base/str_cat.h"

namespace shoal::model {

namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kMaxEntries = 65'536;
constexpr uint64_t kMaxNameBytes = 1024;
constexpr uint64_t kMaxTextBytes = 16u << 20;
constexpr uint64_t kMaxItems = 1u << 24;
constexpr uint32_t kMaxDims = 4;
constexpr uint64_t kMaxAlignment = 1u << 20;
constexpr uint32_t kTypeCount = 13;

template <typename T>
double ValueAt(Bytes data, uint64_t index) {
  T value;
  std::memcpy(&value, data.data() + index * sizeof(T), sizeof(T));
  return static_cast<double>(value);
}

}  // namespace

size_t Gguf::BytesOf(Type type) {
  constexpr size_t kBytes[kTypeCount] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<size_t>(type)];
}

std::unexpected<Error> Gguf::Truncated() const {
  return Fail(Code::kDataLoss, StrCat(where_, ": ends in the middle of its header"));
}

std::unexpected<Error> Gguf::Wrong(std::string_view key, std::string_view detail) const {
  return Fail(Code::kInvalidArgument, StrCat(where_, ": ", key, ": ", detail));
}

Result<Gguf> Gguf::Parse(Bytes file, std::string_view where) {
  Gguf gguf;
  gguf.where_ = where;
  ByteReader reader(file);
  const auto magic = reader.Read<uint32_t>();
  const auto version = reader.Read<uint32_t>();
  const auto tensors = reader.Read<uint64_t>();
  const auto values = reader.Read<uint64_t>();
  if (!reader.ok() || magic != kMagic) {
    return Fail(Code::kInvalidArgument, StrCat(where, ": not a GGUF file"));
  }
  if (version != 2 && version != 3) {
    return Fail(Code::kUnimplemented,
                StrCat(where, ": GGUF version ", version, "; versions 2 and 3 are read"));
  }
  if (tensors > kMaxEntries || values > kMaxEntries) {
    return Fail(Code::kResourceExhausted, StrCat(where, ": ", tensors, " tensors and ", values,
                                                 " keys; at most ", kMaxEntries, " each"));
  }
  RETURN_IF_ERROR(gguf.ReadValues(reader, values));
  RETURN_IF_ERROR(gguf.ReadTensors(reader, tensors, file));
  return gguf;
}

Result<std::string_view> Gguf::ReadText(ByteReader& reader, uint64_t max_bytes) const {
  const auto bytes = reader.Read<uint64_t>();
  if (bytes > max_bytes) {
    return Fail(Code::kResourceExhausted,
                StrCat(where_, ": a text of ", bytes, " bytes; at most ", max_bytes));
  }
  const std::string_view text = AsText(reader.ReadBytes(bytes));
  if (!reader.ok()) return Truncated();
  return text;
}

Status Gguf::ReadValues(ByteReader& reader, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(const std::string_view key, ReadText(reader, kMaxNameBytes));
    Result<Value> value = ReadValue(reader);
    if (!value) return FailWithContext(std::move(value).error(), key);
    if (!values_.emplace(key, *value).second) return Wrong(key, "occurs twice");
  }
  return {};
}

Result<Gguf::Value> Gguf::ReadValue(ByteReader& reader) const {
  Value value;
  auto type = reader.Read<uint32_t>();
  if (type == static_cast<uint32_t>(Type::kList)) {
    value.is_list = true;
    type = reader.Read<uint32_t>();
    value.count = reader.Read<uint64_t>();
  }
  if (!reader.ok()) return Truncated();
  if (type >= kTypeCount || type == static_cast<uint32_t>(Type::kList)) {
    return Fail(Code::kUnimplemented, StrCat(where_, ": a value of type ", type,
                                             value.is_list ? " in a list" : "", " is not read"));
  }
  if (value.count > kMaxItems) {
    return Fail(Code::kResourceExhausted,
                StrCat(where_, ": a list of ", value.count, " items; at most ", kMaxItems));
  }
  value.type = static_cast<Type>(type);
  if (value.type != Type::kText) {
    value.data = reader.ReadBytes(value.count * BytesOf(value.type));
    if (!reader.ok()) return Truncated();
    return value;
  }
  ByteReader texts = reader;
  RETURN_IF_ERROR(SkipTexts(reader, value.count));
  value.data = texts.ReadBytes(reader.position() - texts.position());
  return value;
}

Status Gguf::SkipTexts(ByteReader& reader, uint64_t count) const {
  for (uint64_t i = 0; i < count; ++i) RETURN_IF_ERROR(ReadText(reader, kMaxTextBytes));
  return {};
}

Result<GgufTensor> Gguf::ReadTensor(ByteReader& reader, uint64_t& offset) const {
  GgufTensor tensor;
  ASSIGN_OR_RETURN(const std::string_view name, ReadText(reader, kMaxNameBytes));
  tensor.name = name;
  const auto dims = reader.Read<uint32_t>();
  if (dims == 0 || dims > kMaxDims) {
    return Wrong(name, StrCat("a tensor of ", dims, " dims; expected 1 to ", kMaxDims));
  }
  uint64_t values = 1;
  tensor.shape.resize(dims);
  for (uint32_t dim = dims; dim-- > 0;) {
    tensor.shape[dim] = reader.Read<uint64_t>();
    if (tensor.shape[dim] == 0 || __builtin_mul_overflow(values, tensor.shape[dim], &values) ||
        values > INT64_MAX / 64) {
      return Wrong(name, "a tensor without values, or with more than can be");
    }
  }
  tensor.type = reader.Read<uint32_t>();
  offset = reader.Read<uint64_t>();
  if (!reader.ok()) return Truncated();
  return tensor;
}

Status Gguf::ReadTensors(ByteReader& reader, uint64_t count, Bytes file) {
  std::vector<uint64_t> offsets(count);
  std::set<std::string, std::less<>> names;
  for (uint64_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(GgufTensor tensor, ReadTensor(reader, offsets[i]));
    if (!names.insert(tensor.name).second) return Wrong(tensor.name, "a tensor that occurs twice");
    tensors_.push_back(std::move(tensor));
  }
  uint64_t alignment = 32;
  if (Has("general.alignment")) {
    ASSIGN_OR_RETURN(alignment, Uint("general.alignment", 1, kMaxAlignment));
  }
  const uint64_t begin = (reader.position() + alignment - 1) / alignment * alignment;
  for (uint64_t i = 0; i < count; ++i) {
    if (begin > file.size() || offsets[i] > file.size() - begin) {
      return Fail(Code::kDataLoss, StrCat(where_, ": tensor \"", tensors_[i].name,
                                          "\" lies past the end: the file is truncated"));
    }
    tensors_[i].data = file.subspan(begin + offsets[i]);
  }
  return {};
}

Result<const Gguf::Value*> Gguf::Need(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return Wrong(key, "is missing");
  return &found->second;
}

double Gguf::NumberAt(const Value& value, uint64_t index) {
  switch (value.type) {
    case Type::kU8:
      return ValueAt<uint8_t>(value.data, index);
    case Type::kI8:
      return ValueAt<int8_t>(value.data, index);
    case Type::kU16:
      return ValueAt<uint16_t>(value.data, index);
    case Type::kI16:
      return ValueAt<int16_t>(value.data, index);
    case Type::kU32:
      return ValueAt<uint32_t>(value.data, index);
    case Type::kI32:
      return ValueAt<int32_t>(value.data, index);
    case Type::kF32:
      return ValueAt<float>(value.data, index);
    case Type::kU64:
      return ValueAt<uint64_t>(value.data, index);
    case Type::kI64:
      return ValueAt<int64_t>(value.data, index);
    case Type::kF64:
      return ValueAt<double>(value.data, index);
    case Type::kBool:
    case Type::kText:
    case Type::kList:
      break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

Result<double> Gguf::Number(std::string_view key) const {
  ASSIGN_OR_RETURN(const Value* value, Need(key));
  const double number = value->is_list ? std::nan("") : NumberAt(*value, 0);
  if (!std::isfinite(number)) return Wrong(key, "expected a number");
  return number;
}

Result<uint64_t> Gguf::Uint(std::string_view key, uint64_t min, uint64_t max) const {
  ASSIGN_OR_RETURN(const double number, Number(key));
  if (number != std::floor(number) || number < static_cast<double>(min) ||
      number > static_cast<double>(max)) {
    return Wrong(key,
                 StrCat("expected a whole number from ", min, " to ", max, ", found ", number));
  }
  return static_cast<uint64_t>(number);
}

Result<bool> Gguf::Bool(std::string_view key) const {
  ASSIGN_OR_RETURN(const Value* value, Need(key));
  if (value->is_list || value->type != Type::kBool) return Wrong(key, "expected true or false");
  return value->data[0] != 0;
}

Result<std::string_view> Gguf::Text(std::string_view key) const {
  ASSIGN_OR_RETURN(const Value* value, Need(key));
  if (value->is_list || value->type != Type::kText) return Wrong(key, "expected a text");
  return AsText(value->data.subspan(sizeof(uint64_t)));
}

Result<std::vector<std::string_view>> Gguf::Texts(std::string_view key) const {
  ASSIGN_OR_RETURN(const Value* value, Need(key));
  if (!value->is_list || value->type != Type::kText) return Wrong(key, "expected a list of texts");
  std::vector<std::string_view> texts;
  texts.reserve(value->count);
  ByteReader reader(value->data);
  for (uint64_t i = 0; i < value->count; ++i) {
    texts.push_back(AsText(reader.ReadBytes(reader.Read<uint64_t>())));
  }
  return texts;
}

Result<std::vector<double>> Gguf::Numbers(std::string_view key) const {
  ASSIGN_OR_RETURN(const Value* value, Need(key));
  if (value->type == Type::kText || value->type == Type::kBool) {
    return Wrong(key, "expected numbers");
  }
  std::vector<double> numbers(value->count);
  for (uint64_t i = 0; i < value->count; ++i) numbers[i] = NumberAt(*value, i);
  return numbers;
}

}  // namespace shoal::model
