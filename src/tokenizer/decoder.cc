#include "tokenizer/decoder.h"

#include <ranges>
#include <utility>

#include "base/str_cat.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/pattern.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {

namespace {

enum class Input : uint8_t { kAnyParts, kWholeTokens };
enum class Output : uint8_t { kTokens, kOneToken };

// A step whose stages are made from a function of the stage that follows.
template <typename MakeStage>
class StepOf : public Decoder::Step {
 public:
  StepOf(Input input, Output output, MakeStage make)
      : input_(input), output_(output), make_(std::move(make)) {}
  std::unique_ptr<TokenSink> NewStage(TokenSink& next) const override { return make_(next); }
  bool NeedsWholeTokens() const override { return input_ == Input::kWholeTokens; }
  bool MakesOneToken() const override { return output_ == Output::kOneToken; }

 private:
  Input input_;
  Output output_;
  MakeStage make_;
};

template <typename MakeStage>
std::shared_ptr<const Decoder::Step> MakeStep(Input input, Output output, MakeStage make) {
  return std::make_shared<StepOf<MakeStage>>(input, output, std::move(make));
}

class Stage : public TokenSink {
 public:
  explicit Stage(TokenSink& next) : next_(next) {}
  void Flush() override { next_.Flush(); }

 protected:
  TokenSink& next_;
};

// The end of every chain.
class Collect : public TokenSink {
 public:
  explicit Collect(std::string& out) : out_(out) {}
  void Push(std::string_view text, bool) override { out_ += text; }
  void Flush() override {}

 private:
  std::string& out_;
};

class JoinWithSpaces : public Stage {
 public:
  using Stage::Stage;
  void Push(std::string_view text, bool begins_token) override {
    if (begins_token && !first_) next_.Push(" ", true);
    first_ = false;
    next_.Push(text, begins_token);
  }

 private:
  bool first_ = true;
};

// Makes whole tokens of parts, for a stage that needs them.
class Rejoin : public Stage {
 public:
  using Stage::Stage;
  void Push(std::string_view text, bool begins_token) override {
    if (begins_token) PassOn();
    held_ += text;
    open_ = true;
  }
  void Flush() override {
    PassOn();
    next_.Flush();
  }

 private:
  void PassOn() {
    if (open_) next_.Push(held_, true);
    held_.clear();
    open_ = false;
  }
  std::string held_;
  bool open_ = false;
};

class Fuse : public Stage {
 public:
  using Stage::Stage;
  void Push(std::string_view text, bool) override {
    next_.Push(text, std::exchange(first_, false));
  }

 private:
  bool first_ = true;
};

// A token with a character that stands for no byte (an added token, say) passes as it is.
class ByteLevelStage : public Stage {
 public:
  using Stage::Stage;
  void Push(std::string_view text, bool) override {
    std::string bytes;
    if (!AppendCharactersAsBytes(text, bytes)) bytes = text;
    std::string out;
    repairer_.Push(bytes, out);
    if (!out.empty()) next_.Push(out, std::exchange(first_, false));
  }
  void Flush() override {
    std::string out;
    repairer_.Flush(out);
    if (!out.empty()) next_.Push(out, std::exchange(first_, false));
    next_.Flush();
  }

 private:
  Utf8Repairer repairer_;
  bool first_ = true;
};

// The byte that "<0x41>" stands for, or -1.
int ByteOfToken(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int byte = 0;
  for (const char c : token.substr(3, 2)) {
    int digit = -1;
    if (c >= '0' && c <= '9') digit = c - '0';
    if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
    if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (digit < 0) return -1;
    byte = byte * 16 + digit;
  }
  return byte;
}

// A run of byte tokens is text if all of it is valid UTF-8, and otherwise one U+FFFD per byte: so
// it is held until it ends.
class ByteFallbackStage : public Stage {
 public:
  using Stage::Stage;
  void Push(std::string_view text, bool) override {
    const int byte = ByteOfToken(text);
    if (byte >= 0) {
      run_ += static_cast<char>(byte);
      return;
    }
    EndRun();
    next_.Push(text, true);
  }
  void Flush() override {
    EndRun();
    next_.Flush();
  }

 private:
  void EndRun() {
    if (run_.empty()) return;
    if (IsValidUtf8(run_)) {
      next_.Push(run_, true);
    } else {
      for (size_t i = 0; i < run_.size(); ++i) next_.Push(kReplacementCharacter, true);
    }
    run_.clear();
  }
  std::string run_;
};

// The first token loses its replacement characters, unless none was put before the text.
class MetaspaceStage : public Stage {
 public:
  MetaspaceStage(TokenSink& next, const MetaspaceOptions& options)
      : Stage(next), options_(options) {}
  void Push(std::string_view text, bool begins_token) override {
    if (begins_token) ++tokens_;
    const bool drops = tokens_ == 1 && options_.prepend != PrependScheme::kNever;
    std::string out;
    for (size_t at = 0; at < text.size();) {
      if (text.substr(at).starts_with(options_.replacement)) {
        if (!drops) out += ' ';
        at += options_.replacement.size();
      } else {
        out += text[at++];
      }
    }
    next_.Push(out, begins_token);
  }

 private:
  const MetaspaceOptions& options_;
  uint64_t tokens_ = 0;
};

struct ReplaceOptions {
  Pattern pattern;
  std::string content;
};

class ReplaceStage : public Stage {
 public:
  ReplaceStage(TokenSink& next, const ReplaceOptions& options) : Stage(next), options_(options) {}
  void Push(std::string_view text, bool) override {
    // A pattern that gives up on a token leaves the token as it is.
    next_.Push(options_.pattern.ReplaceAll(text, options_.content).value_or(std::string(text)),
               true);
  }

 private:
  const ReplaceOptions& options_;
};

struct StripOptions {
  std::string content;  // One character.
  uint64_t start = 0;   // At most so many are taken off the front of every token,
  uint64_t stop = 0;    // and so many off its end.
};

class StripStage : public Stage {
 public:
  StripStage(TokenSink& next, const StripOptions& options) : Stage(next), options_(options) {}
  void Push(std::string_view text, bool begins_token) override {
    if (begins_token) left_ = options_.start;
    while (left_ > 0 && text.starts_with(options_.content)) {
      text.remove_prefix(options_.content.size());
      --left_;
    }
    if (!text.empty()) left_ = 0;
    // With stop > 0 tokens come whole.
    for (uint64_t i = 0; i < options_.stop && text.ends_with(options_.content); ++i) {
      text.remove_suffix(options_.content.size());
    }
    next_.Push(text, begins_token);
  }

 private:
  const StripOptions& options_;
  uint64_t left_ = 0;
};

template <typename StageType>
std::shared_ptr<const Decoder::Step> PlainStep(Input input, Output output) {
  return MakeStep(input, output, [](TokenSink& next) { return std::make_unique<StageType>(next); });
}

template <typename StageType, typename Options>
std::shared_ptr<const Decoder::Step> StepWith(Input input, Options options) {
  auto shared = std::make_shared<const Options>(std::move(options));
  return MakeStep(input, Output::kTokens,
                  [shared](TokenSink& next) { return std::make_unique<StageType>(next, *shared); });
}

constexpr size_t kMaxDecoders = 64;
constexpr int kMaxDecoderDepth = 8;

}  // namespace

Decoder::Decoder() : steps_{PlainStep<JoinWithSpaces>(Input::kAnyParts, Output::kTokens)} {}

Result<Decoder> Decoder::FromJson(const model::JsonObject& object) {
  Decoder decoder;
  decoder.steps_.clear();
  RETURN_IF_ERROR(decoder.Read(object, 0));
  return decoder;
}

Status Decoder::Read(const model::JsonObject& object, int depth) {
  ASSIGN_OR_RETURN(const std::string type, object.Text("type"));
  if (type == "Sequence" && depth < kMaxDecoderDepth) {
    ASSIGN_OR_RETURN(const auto parts, object.Objects("decoders", kMaxDecoders));
    for (const model::JsonObject& part : parts) RETURN_IF_ERROR(Read(part, depth + 1));
  } else if (type == "ByteLevel") {
    steps_.push_back(PlainStep<ByteLevelStage>(Input::kWholeTokens, Output::kOneToken));
  } else if (type == "ByteFallback") {
    steps_.push_back(PlainStep<ByteFallbackStage>(Input::kWholeTokens, Output::kTokens));
  } else if (type == "Fuse") {
    steps_.push_back(PlainStep<Fuse>(Input::kAnyParts, Output::kOneToken));
  } else if (type == "Metaspace") {
    ASSIGN_OR_RETURN(MetaspaceOptions options, ParseMetaspace(object));
    steps_.push_back(StepWith<MetaspaceStage>(Input::kAnyParts, std::move(options)));
  } else if (type == "Replace") {
    ASSIGN_OR_RETURN(Pattern pattern, Pattern::FromJson(object));
    ASSIGN_OR_RETURN(std::string content, object.Text("content"));
    steps_.push_back(StepWith<ReplaceStage>(
        Input::kWholeTokens, ReplaceOptions{std::move(pattern), std::move(content)}));
  } else if (type == "Strip") {
    StripOptions options;
    ASSIGN_OR_RETURN(options.content, object.Text("content"));
    if (CountCodePoints(options.content) != 1) {
      return object.Wrong("content", "expected one character");
    }
    ASSIGN_OR_RETURN(options.start, object.UintOr("start", 0, 0, UINT32_MAX));
    ASSIGN_OR_RETURN(options.stop, object.UintOr("stop", 0, 0, UINT32_MAX));
    const Input input = options.stop > 0 ? Input::kWholeTokens : Input::kAnyParts;
    steps_.push_back(StepWith<StripStage>(input, std::move(options)));
  } else {
    return Fail(Code::kUnimplemented,
                StrCat(object.where(), ": the decoder \"", type, "\" is not supported here"));
  }
  return {};
}

DecoderChain Decoder::NewChain(std::string& out) const {
  // Whether the tokens that reach each step may come in parts.
  std::vector<bool> comes_in_parts;
  bool in_parts = false;
  for (const auto& step : steps_) {
    comes_in_parts.push_back(in_parts);
    in_parts = step->MakesOneToken() || (in_parts && !step->NeedsWholeTokens());
  }
  DecoderChain chain;
  chain.stages_.push_back(std::make_unique<Collect>(out));
  for (size_t i = steps_.size(); i-- > 0;) {
    chain.stages_.push_back(steps_[i]->NewStage(*chain.stages_.back()));
    if (comes_in_parts[i] && steps_[i]->NeedsWholeTokens()) {
      chain.stages_.push_back(std::make_unique<Rejoin>(*chain.stages_.back()));
    }
  }
  return chain;
}

}  // namespace shoal::tokenizer
