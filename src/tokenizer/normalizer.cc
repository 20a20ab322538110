#include "tokenizer/normalizer.h"

#include <optional>
#include <vector>

#include "base/str_cat.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/pattern.h"
#include "tokenizer/precompiled.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {

namespace {

using NormalizerPtr = std::unique_ptr<Normalizer>;

class UnicodeForm : public Normalizer {
 public:
  explicit UnicodeForm(NormalForm form) : form_(form) {}
  Result<std::string> Apply(std::string text) const override { return Normalize(text, form_); }

 private:
  NormalForm form_;
};

class LowercaseNormalizer : public Normalizer {
 public:
  Result<std::string> Apply(std::string text) const override { return Lowercase(text); }
};

class ByteLevelNormalizer : public Normalizer {
 public:
  Result<std::string> Apply(std::string text) const override { return BytesToCharacters(text); }
};

class StripAccents : public Normalizer {
 public:
  Result<std::string> Apply(std::string text) const override {
    std::string kept;
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      if (!IsNonspacingMark(NextCodePoint(text, at))) kept.append(text, begin, at - begin);
    }
    return kept;
  }
};

class Replace : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  Result<std::string> Apply(std::string text) const override {
    return pattern_.ReplaceAll(text, content_);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

// Nothing is put before an empty text.
class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  Result<std::string> Apply(std::string text) const override {
    if (!text.empty()) text.insert(0, prefix_);
    return text;
  }

 private:
  std::string prefix_;
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  Result<std::string> Apply(std::string text) const override {
    size_t begin = 0;
    for (size_t at = 0; left_ && at < text.size() && IsWhitespace(NextCodePoint(text, at));) {
      begin = at;
    }
    size_t end = begin;  // Behind the last character to keep.
    if (!right_) end = text.size();
    for (size_t at = begin; right_ && at < text.size();) {
      if (!IsWhitespace(NextCodePoint(text, at))) end = at;
    }
    return text.substr(begin, end - begin);
  }

 private:
  bool left_;
  bool right_;
};

class PrecompiledNormalizer : public Normalizer {
 public:
  PrecompiledNormalizer(CharacterMap map, bool longest) : map_(std::move(map)), longest_(longest) {}
  Result<std::string> Apply(std::string text) const override {
    return longest_ ? map_.ApplyLongest(text) : map_.Apply(text);
  }

 private:
  CharacterMap map_;
  bool longest_;
};

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<NormalizerPtr> parts) : parts_(std::move(parts)) {}
  Result<std::string> Apply(std::string text) const override {
    for (const NormalizerPtr& part : parts_) {
      ASSIGN_OR_RETURN(text, part->Apply(std::move(text)));
      if (text.size() > kMaxNormalizedBytes) {
        return Fail(Code::kResourceExhausted, StrCat("the normalized text has ", text.size(),
                                                     " bytes; at most ", kMaxNormalizedBytes));
      }
    }
    return text;
  }

 private:
  std::vector<NormalizerPtr> parts_;
};

std::optional<NormalForm> ParseNormalForm(std::string_view type) {
  if (type == "NFC") return NormalForm::kNfc;
  if (type == "NFD") return NormalForm::kNfd;
  if (type == "NFKC") return NormalForm::kNfkc;
  if (type == "NFKD") return NormalForm::kNfkd;
  return std::nullopt;
}

constexpr size_t kMaxNormalizers = 64;
constexpr size_t kMaxCharsmapBytes = size_t{64} << 20;

Result<NormalizerPtr> ParseNormalizerSequence(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(const auto objects, object.Objects("normalizers", kMaxNormalizers));
  std::vector<NormalizerPtr> parts;
  for (const model::JsonObject& part : objects) {
    ASSIGN_OR_RETURN(NormalizerPtr normalizer, ParseNormalizer(part));
    parts.push_back(std::move(normalizer));
  }
  return std::make_unique<NormalizerSequence>(std::move(parts));
}

}  // namespace

Result<NormalizerPtr> ParseNormalizer(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(const std::string type, object.Text("type"));
  if (const std::optional<NormalForm> form = ParseNormalForm(type)) {
    return std::make_unique<UnicodeForm>(*form);
  }
  if (type == "Sequence") return ParseNormalizerSequence(object);
  if (type == "Lowercase") return std::make_unique<LowercaseNormalizer>();
  if (type == "ByteLevel") return std::make_unique<ByteLevelNormalizer>();
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "Replace") {
    ASSIGN_OR_RETURN(Pattern pattern, Pattern::FromJson(object));
    ASSIGN_OR_RETURN(std::string content, object.Text("content"));
    return std::make_unique<Replace>(std::move(pattern), std::move(content));
  }
  if (type == "Prepend") {
    ASSIGN_OR_RETURN(std::string prefix, object.Text("prepend"));
    return std::make_unique<Prepend>(std::move(prefix));
  }
  if (type == "Strip") {
    ASSIGN_OR_RETURN(const bool left, object.BoolOr("strip_left", true));
    ASSIGN_OR_RETURN(const bool right, object.BoolOr("strip_right", true));
    return std::make_unique<Strip>(left, right);
  }
  if (type == "Precompiled") {
    ASSIGN_OR_RETURN(const std::string encoded,
                     object.Text("precompiled_charsmap", kMaxCharsmapBytes));
    Result<CharacterMap> map = CharacterMap::FromBase64(encoded);
    if (!map) return FailWithContext(std::move(map).error(), object.where());
    // Written by convert/ alone.
    ASSIGN_OR_RETURN(const bool longest, object.BoolOr("longest", false));
    return std::make_unique<PrecompiledNormalizer>(*std::move(map), longest);
  }
  return Fail(Code::kUnimplemented,
              StrCat(object.where(), ": the normalizer \"", type, "\" is not supported"));
}

}  // namespace shoal::tokenizer
