// Random texts against @huggingface/transformers (tests/golden/tokenizers/transformers.json), and
// there and back again.
#include <map>

#include "base/random.h"
#include "tokenizer/test_files.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {
namespace {

TEST(Transformers, GivesTheSameIdsAndTexts) {
  std::map<std::string, std::unique_ptr<Tokenizer>> tokenizers;
  const auto rows = boost::json::parse(ReadTestFile("tokenizers/transformers.json"));
  ASSERT_GT(rows.as_array().size(), 1200u);
  for (const auto& row : rows.as_array()) {
    const std::string kind = TextOf(row.at("kind"));
    auto& tokenizer = tokenizers[kind];
    if (tokenizer == nullptr) tokenizer = LoadTestTokenizer(kind);
    ASSERT_NE(tokenizer, nullptr);
    const std::string text = TextOf(row.at("text"));
    const std::vector<int32_t> ids = ParseIds(TextOf(row.at("ids")));
    EXPECT_EQ(tokenizer->Encode(text, true), ids) << kind << ": " << text;
    EXPECT_EQ(tokenizer->Decode(ids, true), TextOf(row.at("decoded"))) << kind << ": " << text;
  }
  EXPECT_EQ(tokenizers.size(), 5u);
}

// Any text of assigned and unassigned characters but those that stand for spaces.
std::string AnyText(Random& random) {
  std::string text;
  const uint64_t length = random.Below(60);
  for (uint64_t i = 0; i < length; ++i) {
    auto c = static_cast<char32_t>(random.Below(i % 3 == 0   ? 0x110000
                                                : i % 3 == 1 ? 0x3000
                                                             : 0x80));
    if ((c >= 0xD800 && c < 0xE000) || c == 0x2581) c = U' ';
    AppendUtf8(c, text);
  }
  return text;
}

// Byte fallback loses nothing: the space that is put before a text is taken away again.
TEST(RoundTrip, SentencePieceWithBytes) {
  const auto tokenizer = LoadTestTokenizer("spm_llama2");
  ASSERT_NE(tokenizer, nullptr);
  Random random(17);
  for (int round = 0; round < 3000; ++round) {
    const std::string text = AnyText(random);
    const std::vector<int32_t> ids = *tokenizer->Encode(text, true);
    EXPECT_EQ(tokenizer->Decode(ids, true), text);
  }
}

// With a normalizer, encoding again what was decoded changes nothing.
TEST(RoundTrip, NormalizedTextsStay) {
  const auto tokenizer = LoadTestTokenizer("bytelevel_qwen2_nfc");
  ASSERT_NE(tokenizer, nullptr);
  Random random(18);
  for (int round = 0; round < 3000; ++round) {
    const std::vector<int32_t> ids = *tokenizer->Encode(AnyText(random), true);
    const std::string text = tokenizer->Decode(ids, false);
    EXPECT_EQ(tokenizer->Encode(text, true), ids) << text;
  }
}

}  // namespace
}  // namespace shoal::tokenizer
