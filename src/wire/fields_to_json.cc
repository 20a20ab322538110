#include "wire/fields_to_json.h"

#include <cmath>
#include <cstring>

#include "wire/decimal.h"

namespace shoal::wire {
namespace {

// After each value stands a comma; Close takes the last one away.
class JsonWriter final : public FieldVisitor {
 public:
  JsonWriter(std::string& out, PayloadForm form) : out_(out), form_(form) {}

  void Field(std::string_view name, const FieldType& type, void* value) override {
    Name(name);
    Put(type, value);
  }

  void Payload(std::string_view name, ByteVector& bytes) override {
    if (form_ == PayloadForm::kHex) {
      Name(name);
      Quoted(ToHex(bytes));
    } else {
      Name(std::string(name) + "_bytes");
      Plain(std::to_string(bytes.size()));
    }
  }

  void Put(const FieldType& type, void* value) {
    switch (type.field_class) {
      case FieldClass::kBool:
        return Plain(*static_cast<const bool*>(value) ? "true" : "false");
      case FieldClass::kUnsigned:
        return Unsigned(type, value);
      case FieldClass::kSigned:
        return Plain(std::to_string(*static_cast<const int32_t*>(value)));
      case FieldClass::kFloat:
        return Plain(type.bytes == sizeof(float) ? Float(*static_cast<const float*>(value))
                                                 : Double(*static_cast<const double*>(value)));
      case FieldClass::kEnum: {
        const auto* known = FindEnumerator(type.enumerators, *static_cast<const uint8_t*>(value));
        return Quoted(known == nullptr ? "unknown" : known->name);
      }
      case FieldClass::kString:
        return Plain(JsonQuote(*static_cast<const std::string*>(value)));
      case FieldClass::kBytes:
        return Quoted(ToHex(*static_cast<const ByteVector*>(value)));
      case FieldClass::kHash:
        return Quoted(ToHex({static_cast<const uint8_t*>(value), type.bytes}));
      case FieldClass::kList:
        return List(*type.list, value);
      case FieldClass::kStruct:
        out_ += '{';
        type.visit(*this, value);
        Close('}');
    }
  }

 private:
  void Close(char bracket) {
    if (out_.back() == ',') out_.pop_back();
    out_ += bracket;
    out_ += ',';
  }

  void Name(std::string_view name) {
    out_ += JsonQuote(name);
    out_ += ':';
  }

  void Plain(std::string_view text) {
    out_ += text;
    out_ += ',';
  }

  void Quoted(std::string_view plain) {
    out_ += '"';
    out_ += plain;
    out_ += "\",";
  }

  void Unsigned(const FieldType& type, const void* value) {
    uint64_t number = 0;
    std::memcpy(&number, value, type.bytes);
    const std::string digits = std::to_string(number);
    if (type.bytes == sizeof(number)) return Quoted(digits);
    Plain(digits);
  }

  static std::string Float(float value) {
    return std::isfinite(value) ? FloatToDecimal(value) : "null";
  }
  static std::string Double(double value) {
    return std::isfinite(value) ? DoubleToDecimal(value) : "null";
  }

  void List(const ListType& type, void* list) {
    const size_t size = type.size(list);
    auto* item = static_cast<std::byte*>(type.data(list));
    out_ += '[';
    for (size_t i = 0; i < size; ++i, item += type.item_bytes) Put(type.item, item);
    Close(']');
  }

  std::string& out_;
  PayloadForm form_;
};

}  // namespace

void FieldsToJson(FieldRef object, PayloadForm form, std::string& out) {
  JsonWriter(out, form).Put(object.type, object.value);
  out.pop_back();  // The comma after it.
}

}  // namespace shoal::wire
