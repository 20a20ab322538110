#include "wire/json.h"

#include "base/str_cat.h"
#include "wire/bodies.h"
#include "wire/codec.h"
#include "wire/fields_from_json.h"
#include "wire/fields_to_json.h"
#include "wire/json_scanner.h"
#include "wire/utf8.h"

namespace shoal::wire {
namespace {

// The text's outermost object, read member by member because the body's type is that of "kind".
struct Envelope {
  std::optional<Kind> kind;
  std::optional<uint32_t> to;
  std::optional<uint32_t> from;
  std::optional<Body> body;
};

void ReadMember(std::string_view key, JsonScanner& scanner, FieldsFromJson& fields,
                Envelope& envelope) {
  const auto wrong = [&fields](std::string_view what) {
    fields.path().Fail(Code::kInvalidArgument, what);
  };
  if (key == "kind" && !envelope.kind) {
    const std::string name = scanner.String();
    envelope.kind = KindFromName(name);
    if (scanner.ok() && !envelope.kind) {
      wrong(StrCat("frame kind \"", name.substr(0, 32), "\" is not known"));
    }
  } else if (key == "to" && !envelope.to) {
    fields.Get(envelope.to.emplace());
  } else if (key == "from" && !envelope.from) {
    fields.Get(envelope.from.emplace());
  } else if (key == "body" && !envelope.body) {
    if (!envelope.kind) return wrong("\"kind\" must come before \"body\"");
    const FieldPath::Scope scope(fields.path(), KindName(*envelope.kind));
    envelope.body = MakeBody(*envelope.kind);
    const FieldRef body = HeldBody(*envelope.body);
    fields.Get(body.type, body.value);
  } else {
    wrong(StrCat("\"", key.substr(0, 32), "\" is not a member of a frame, or is there twice"));
  }
}

Status CheckTextSize(std::string_view text) {
  if (text.size() <= kJsonBytesMax) return {};
  return Fail(Code::kResourceExhausted,
              StrCat("a JSON text of ", text.size(), " bytes, at most ", kJsonBytesMax));
}

Status FirstError(const JsonScanner& scanner, FieldsFromJson& fields) {
  if (fields.path().failed()) return std::unexpected(fields.path().error());
  if (!scanner.ok()) return Fail(Code::kInvalidArgument, scanner.error());
  return {};
}

template <typename T>
std::string StructToJson(const T& value) {
  std::string out;
  FieldsToJson({.type = kFieldType<T>, .value = const_cast<T*>(&value)}, PayloadForm::kHex, out);
  return out;
}

}  // namespace

std::string ToJson(const Frame& frame, PayloadForm form) {
  std::string out =
      StrCat("{\"kind\":\"", KindName(KindOf(frame.body)), "\",\"to\":", frame.to.value,
             ",\"from\":", frame.from.value, ",\"body\":");
  FieldsToJson(HeldBody(frame.body), form, out);
  out += '}';
  return out;
}

Result<Frame> FromJson(std::string_view text, std::optional<Bytes> beside) {
  RETURN_IF_ERROR(CheckTextSize(text));
  JsonScanner scanner(text);
  FieldsFromJson fields(scanner, beside);
  Envelope envelope;
  scanner.Expect('{');
  do {
    const std::string key = scanner.String();
    scanner.Expect(':');
    if (scanner.ok()) ReadMember(key, scanner, fields, envelope);
  } while (!fields.path().failed() && scanner.Consume(','));
  RETURN_IF_ERROR(FirstError(scanner, fields));
  scanner.Expect('}');
  scanner.ExpectEnd();
  RETURN_IF_ERROR(FirstError(scanner, fields));
  if (!envelope.to || !envelope.from || !envelope.body) {
    return Fail(Code::kInvalidArgument, "a frame has kind, to, from and body");
  }
  if (beside && !beside->empty() && !fields.used_beside()) {
    return Fail(Code::kInvalidArgument,
                StrCat(beside->size(), " bytes of payload beside a frame that takes none"));
  }
  Frame frame{.to = NodeId{*envelope.to},
              .from = NodeId{*envelope.from},
              .body = *std::move(envelope.body)};
  RETURN_IF_ERROR(Validate(frame));
  return frame;
}

std::string ToJson(const Sampling& sampling) { return StructToJson(sampling); }

std::string ToJson(const Token& token) { return StructToJson(token); }

std::string ToJson(const Header& header) {
  return StrCat("{\"kind\":\"", KindName(header.kind), "\",\"to\":", header.to.value,
                ",\"from\":", header.from.value, ",\"body_bytes\":", header.body_bytes, "}");
}

Result<Sampling> SamplingFromJson(std::string_view text) {
  RETURN_IF_ERROR(CheckTextSize(text));
  JsonScanner scanner(text);
  FieldsFromJson fields(scanner, std::nullopt);
  const FieldPath::Scope scope(fields.path(), "sampling");
  Sampling sampling;
  fields.Get(sampling);
  scanner.ExpectEnd();
  RETURN_IF_ERROR(FirstError(scanner, fields));
  return sampling;
}

std::string JsonQuote(std::string_view text) {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : CleanUtf8(text, text.size() * 3)) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

}  // namespace shoal::wire
