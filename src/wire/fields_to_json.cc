#include "wire/fields_to_json.h"

#include <cmath>

#include "wire/decimal.h"

namespace shoal::wire {

void FieldsToJson::Payload(std::string_view name, const ByteVector& bytes) {
  if (form_ == PayloadForm::kHex) {
    (*this)(name, bytes);
  } else {
    Name(std::string(name) + "_bytes");
    Unsigned(bytes.size());
  }
}

void FieldsToJson::Open(char bracket) { out_ += bracket; }

void FieldsToJson::Close(char bracket) {
  if (out_.back() == ',') out_.pop_back();
  out_ += bracket;
  out_ += ',';
}

void FieldsToJson::Name(std::string_view name) {
  out_ += JsonQuote(name);
  out_ += ':';
}

void FieldsToJson::Plain(std::string_view text) {
  out_ += text;
  out_ += ',';
}

void FieldsToJson::Quoted(std::string_view plain) {
  out_ += '"';
  out_ += plain;
  out_ += "\",";
}

void FieldsToJson::Signed(int64_t value) { Plain(std::to_string(value)); }

void FieldsToJson::Unsigned(uint64_t value) { Plain(std::to_string(value)); }

void FieldsToJson::Float(float value) {
  Plain(std::isfinite(value) ? FloatToDecimal(value) : "null");
}

void FieldsToJson::Double(double value) {
  Plain(std::isfinite(value) ? DoubleToDecimal(value) : "null");
}

}  // namespace shoal::wire
