#include "tokenizer/jinja/json.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/str_cat.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer::jinja {

namespace {

using Kind = Value::Kind;

Result<Value> FromJsonAt(const boost::json::value& value, int depth);

Result<Value> ListFromJson(const boost::json::array& list, int depth) {
  Values items;
  items.reserve(list.size());
  for (const boost::json::value& item : list) {
    ASSIGN_OR_RETURN(Value converted, FromJsonAt(item, depth));
    items.push_back(std::move(converted));
  }
  return MakeList(std::move(items));
}

Result<Value> FromJsonAt(const boost::json::value& value, int depth) {
  if (depth > kMaxNesting) {
    return Fail(Code::kResourceExhausted, StrCat("JSON that nests deeper than ", kMaxNesting));
  }
  switch (value.kind()) {
    case boost::json::kind::null:
      return Value();
    case boost::json::kind::bool_:
      return Value(value.get_bool());
    case boost::json::kind::int64:
      return Value(value.get_int64());
    case boost::json::kind::uint64:
      return Value(value.get_uint64());
    case boost::json::kind::double_:
      return Value(value.get_double());
    case boost::json::kind::string:
      return Value(std::string(value.get_string().data(), value.get_string().size()));
    case boost::json::kind::array:
      return ListFromJson(value.get_array(), depth + 1);
    case boost::json::kind::object: {
      auto dict = std::make_shared<Dict>();
      for (const auto& entry : value.get_object()) {
        ASSIGN_OR_RETURN(Value converted, FromJsonAt(entry.value(), depth + 1));
        RETURN_IF_ERROR(dict->Set(Value(std::string(entry.key().data(), entry.key().size())),
                                  std::move(converted)));
      }
      return Value(std::move(dict));
    }
  }
  return Value();
}

class Writer {
 public:
  Writer(const JsonStyle& style, size_t max_bytes) : style_(style), max_bytes_(max_bytes) {}

  Status Write(const Value& value, int depth) {
    if (depth > kMaxNesting || out_.size() > max_bytes_) {
      return Fail(Code::kResourceExhausted,
                  depth > kMaxNesting ? "a value that holds itself has no JSON"
                                      : StrCat("more than ", max_bytes_, " bytes of JSON"));
    }
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        return {};
      case Kind::kBool:
        out_ += value.as_bool() ? "true" : "false";
        return {};
      case Kind::kInt:
        out_ += IntegerToText(*value.ToInteger());
        return {};
      case Kind::kFloat:
        out_ += Float(value.as_float());
        return {};
      case Kind::kString:
        WriteString(value.as_string());
        return {};
      case Kind::kSequence:
        if (value.as_sequence().flavor == Sequence::Flavor::kList ||
            value.as_sequence().flavor == Sequence::Flavor::kTuple) {
          return WriteList(value.as_sequence().items, depth);
        }
        break;
      case Kind::kDict:
        return WriteDict(value.as_dict(), depth);
      default:
        break;
    }
    return Fail(Code::kFailedPrecondition,
                StrCat("a value of type ", value.TypeName(), " cannot be written as JSON",
                       value.is(Kind::kUndefined) ? StrCat(" (", value.why_undefined(), ")") : ""));
  }

  std::string Take() { return std::move(out_); }

 private:
  static std::string Float(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return FloatToText(number);
  }

  void BreakLine(int depth) {
    if (!style_.indent) return;
    out_ += '\n';
    for (int i = 0; i < depth; ++i) out_ += *style_.indent;
  }

  Status WriteList(const Values& items, int depth) {
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      BreakLine(depth + 1);
      RETURN_IF_ERROR(Write(items[i], depth + 1));
    }
    if (!items.empty()) BreakLine(depth);
    out_ += ']';
    return {};
  }

  Status WriteDict(const Dict& dict, int depth) {
    std::vector<std::pair<std::string, const Value*>> entries;
    for (const auto& [key, item] : dict.entries()) {
      ASSIGN_OR_RETURN(std::string name, KeyName(key));
      entries.emplace_back(std::move(name), &item);
    }
    if (style_.sort_keys) std::ranges::sort(entries);
    out_ += '{';
    bool first = true;
    for (const auto& [name, item] : entries) {
      if (!first) out_ += style_.item_separator;
      first = false;
      BreakLine(depth + 1);
      WriteString(name);
      out_ += style_.key_separator;
      RETURN_IF_ERROR(Write(*item, depth + 1));
    }
    if (!entries.empty()) BreakLine(depth);
    out_ += '}';
    return {};
  }

  static Result<std::string> KeyName(const Value& key) {
    switch (key.kind()) {
      case Value::Kind::kString:
        return key.as_string();
      case Value::Kind::kNone:
        return "null";
      case Value::Kind::kBool:
        return key.as_bool() ? "true" : "false";
      case Value::Kind::kInt:
        return IntegerToText(*key.ToInteger());
      case Value::Kind::kFloat:
        return Float(key.as_float());
      default:
        return Fail(Code::kFailedPrecondition,
                    StrCat("a ", key.TypeName(), " cannot be a key in JSON"));
    }
  }

  void WriteEscape(char32_t unit) {
    out_ += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) {
      out_ += "0123456789abcdef"[(unit >> shift) & 15];
    }
  }

  void WriteString(std::string_view text) {
    out_ += '"';
    for (size_t at = 0; at < text.size();) {
      const char32_t c = NextCodePoint(text, at);
      constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b";
      const size_t escape = c < 0x80 ? kEscaped.find(static_cast<char>(c)) : kEscaped.npos;
      if (escape != kEscaped.npos) {
        out_ += '\\';
        out_ += "\"\\nrtfb"[escape];
      } else if (c < 0x20 || (style_.ensure_ascii && c >= 0x7F && c < 0x10000)) {
        WriteEscape(c);
      } else if (style_.ensure_ascii && c >= 0x10000) {
        WriteEscape(0xD800 + ((c - 0x10000) >> 10));
        WriteEscape(0xDC00 + ((c - 0x10000) & 0x3FF));
      } else {
        AppendUtf8(c, out_);
      }
    }
    out_ += '"';
  }

  const JsonStyle& style_;
  const size_t max_bytes_;
  std::string out_;
};

}  // namespace

Result<Value> FromJson(const boost::json::value& value) { return FromJsonAt(value, 0); }

Result<Value> FromJson(const boost::json::array& list) { return ListFromJson(list, 1); }

Result<std::string> ToJson(const Value& value, const JsonStyle& style, size_t max_bytes) {
  Writer writer(style, max_bytes);
  RETURN_IF_ERROR(writer.Write(value, 0));
  return writer.Take();
}

}  // namespace shoal::tokenizer::jinja
