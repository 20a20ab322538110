#include "coordinator/grammar/vocabulary.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace shoal::grammar {
namespace {

constexpr size_t kMaxTokenBytes = 512;  // Longer ones are runs of blanks at most.
constexpr std::string_view kReplacement = "\xef\xbf\xbd";

std::string Utf8(uint32_t code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

// GPT-2's alphabet: a printable character for every byte, itself where it is printable.
std::map<std::string, uint8_t, std::less<>> ByteLevelAlphabet() {
  std::map<std::string, uint8_t, std::less<>> out;
  uint32_t stand_in = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool is_printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    out[Utf8(is_printable ? byte : stand_in++)] = static_cast<uint8_t>(byte);
  }
  return out;
}

// A name of the byte-level alphabet as its bytes.
std::optional<std::string> FromByteLevel(
    std::string_view name, const std::map<std::string, uint8_t, std::less<>>& alphabet) {
  std::string out;
  while (!name.empty()) {
    const size_t size = static_cast<uint8_t>(name[0]) < 0x80 ? 1 : 2;
    const auto at = alphabet.find(name.substr(0, size));
    if (at == alphabet.end()) return std::nullopt;
    out += static_cast<char>(at->second);
    name.remove_prefix(std::min(size, name.size()));
  }
  return out;
}

// "<0xE2>" of vocabularies with byte fallback.
std::optional<std::string> FromByteFallback(std::string_view name) {
  if (name.size() != 6 || !name.starts_with("<0x") || !name.ends_with('>')) return std::nullopt;
  uint8_t byte = 0;
  const auto [end, error] = std::from_chars(name.data() + 3, name.data() + 5, byte, 16);
  if (error != std::errc() || end != name.data() + 5) return std::nullopt;
  return std::string(1, static_cast<char>(byte));
}

}  // namespace

Vocabulary::Vocabulary(std::vector<Token> tokens, uint32_t size)
    : tokens_(std::move(tokens)), size_(size) {
  std::ranges::sort(tokens_, {}, &Token::bytes);
  by_id_.assign(size_, static_cast<uint32_t>(tokens_.size()));
  for (size_t at = 0; at < tokens_.size(); ++at) {
    CHECK(!tokens_[at].bytes.empty() && tokens_[at].id >= 0);
    CHECK(static_cast<uint32_t>(tokens_[at].id) < size_);
    by_id_[static_cast<size_t>(tokens_[at].id)] = static_cast<uint32_t>(at);
  }
}

Vocabulary Vocabulary::Of(const tokenizer::Tokenizer& tokenizer, uint32_t size) {
  const bool is_byte_level = tokenizer.TokenToId("\xc4\xa0").has_value();  // "Ġ": a blank.
  const auto alphabet = ByteLevelAlphabet();
  // Behind another token, since some decoders take a blank off the beginning of a text.
  const auto anchor = tokenizer.TokenToId("a");
  const auto decode = [&](int32_t id) {
    if (!anchor) return tokenizer.Decode(std::array{id}, /*skip_special=*/true);
    std::string text = tokenizer.Decode(std::array{*anchor, id}, /*skip_special=*/true);
    return text.starts_with('a') ? text.substr(1) : std::string();
  };
  std::vector<Token> tokens;
  const auto count = std::min<int64_t>(tokenizer.vocab_size(), size);
  for (int32_t id = 0; id < count; ++id) {
    const auto name = tokenizer.IdToToken(id);
    if (!name || tokenizer.IsSpecial(id)) continue;
    std::string bytes = decode(id);
    if (bytes.find(kReplacement) != std::string::npos || bytes.empty()) {
      auto exact = FromByteFallback(*name);
      if (!exact && is_byte_level) exact = FromByteLevel(*name, alphabet);
      bytes = std::move(exact).value_or("");
    }
    if (!bytes.empty() && bytes.size() <= kMaxTokenBytes) tokens.push_back({std::move(bytes), id});
  }
  return Vocabulary(std::move(tokens), size);
}

const std::string& Vocabulary::BytesOf(int32_t id) const {
  static const std::string kNone;
  if (id < 0 || static_cast<uint32_t>(id) >= size_) return kNone;
  const uint32_t at = by_id_[static_cast<size_t>(id)];
  return at == tokens_.size() ? kNone : tokens_[at].bytes;
}

void Vocabulary::Allow(const GrammarState& state, std::vector<uint8_t>& mask) const {
  CHECK(mask.size() * 8 >= size_);
  if (!state.is_dead()) Walk(0, tokens_.size(), 0, state, mask);
}

void Vocabulary::Walk(size_t first, size_t last, size_t depth, const GrammarState& state,
                      std::vector<uint8_t>& mask) const {
  // Those that end here come first.
  for (; first < last && tokens_[first].bytes.size() == depth; ++first) {
    const auto id = static_cast<size_t>(tokens_[first].id);
    mask[id / 8] = static_cast<uint8_t>(mask[id / 8] | 1u << id % 8);
  }
  while (first < last) {
    const char byte = tokens_[first].bytes[depth];
    const auto same =
        std::partition_point(tokens_.begin() + static_cast<std::ptrdiff_t>(first),
                             tokens_.begin() + static_cast<std::ptrdiff_t>(last),
                             [&](const Token& token) { return token.bytes[depth] == byte; });
    const auto end = static_cast<size_t>(same - tokens_.begin());
    GrammarState next = state;
    if (next.Advance(static_cast<uint8_t>(byte))) Walk(first, end, depth + 1, next, mask);
    first = end;
  }
}

}  // namespace shoal::grammar
