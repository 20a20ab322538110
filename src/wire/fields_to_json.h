// The visitor that writes a struct's fields as a JSON object.
#pragma once

#include <cmath>
#include <string>
#include <type_traits>

#include "base/bytes.h"
#include "wire/decimal.h"
#include "wire/json.h"
#include "wire/names.h"
#include "wire/traits.h"

namespace shoal::wire {

// Appends to `out`. Floats that are not finite, which only a frame that was never encoded can have,
// become null.
class FieldsToJson {
 public:
  FieldsToJson(std::string& out, PayloadForm form) : out_(out), form_(form) {}

  template <typename T>
  void Object(const T& value) {
    out_ += '{';
    T::Fields(*this, value);
    Close('}');
  }

  template <typename T>
  void operator()(std::string_view name, const T& value) {
    Name(name);
    Put(value);
    out_ += ',';
  }

  void Payload(std::string_view name, const ByteVector& bytes) {
    if (form_ == PayloadForm::kHex) {
      (*this)(name, bytes);
    } else {
      (*this)(std::string(name) + "_bytes", static_cast<uint32_t>(bytes.size()));
    }
  }

  // Ends an object or a list, whose items all have a comma after them.
  void Close(char end) {
    if (out_.back() == ',') out_.pop_back();
    out_ += end;
  }

 private:
  void Name(std::string_view name) {
    out_ += JsonQuote(name);
    out_ += ':';
  }
  void Quoted(std::string_view plain) {
    out_ += '"';
    out_ += plain;
    out_ += '"';
  }

  template <typename T>
  void Put(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      out_ += value ? "true" : "false";
    } else if constexpr (std::is_enum_v<T>) {
      Quoted(EnumName(value).value_or("unknown"));
    } else if constexpr (kIsId<T>) {
      Put(value.value);
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      Quoted(std::to_string(value));
    } else if constexpr (std::is_integral_v<T>) {
      out_ += std::to_string(value);
    } else if constexpr (std::is_floating_point_v<T>) {
      if (!std::isfinite(value)) {
        out_ += "null";
      } else if constexpr (std::is_same_v<T, float>) {
        out_ += FloatToDecimal(value);
      } else {
        out_ += DoubleToDecimal(value);
      }
    } else if constexpr (std::is_same_v<T, Sha256> || kIsByteString<T>) {
      Quoted(ToHex(value));
    } else if constexpr (std::is_same_v<T, std::string>) {
      out_ += JsonQuote(value);
    } else if constexpr (kIsList<T>) {
      out_ += '[';
      for (const auto& item : value) {
        Put(item);
        out_ += ',';
      }
      Close(']');
    } else {
      Object(value);
    }
  }

  std::string& out_;
  PayloadForm form_;
};

}  // namespace shoal::wire
