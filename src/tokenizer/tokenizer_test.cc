// The tokenizer against Hugging Face's answers (tests/golden/tokenizers) and against itself.
#include "tokenizer/tokenizer.h"

#include <chrono>

#include "base/random.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/test_files.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {
namespace {

class Vectors : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    tokenizer_ = LoadTestTokenizer(GetParam());
    ASSERT_NE(tokenizer_, nullptr);
    vectors_ =
        boost::json::parse(ReadTestFile(std::string("tokenizers/") + GetParam() + "/vectors.json"));
  }
  std::unique_ptr<Tokenizer> tokenizer_;
  boost::json::value vectors_;
};

TEST_P(Vectors, EncodeGivesTheReferenceIds) {
  ASSERT_GT(vectors_.as_array().size(), 100u);
  for (const auto& vector : vectors_.as_array()) {
    const std::string text = TextOf(vector.at("text"));
    EXPECT_EQ(*tokenizer_->Encode(text, true), IdsOf(vector.at("ids"))) << text;
    EXPECT_EQ(*tokenizer_->Encode(text, false), IdsOf(vector.at("ids_no_special"))) << text;
  }
}

TEST_P(Vectors, DecodeGivesTheReferenceText) {
  for (const auto& vector : vectors_.as_array()) {
    EXPECT_EQ(tokenizer_->Decode(IdsOf(vector.at("ids")), true), TextOf(vector.at("decoded")));
  }
}

TEST_P(Vectors, StreamingGivesTheSameText) {
  for (const auto& vector : vectors_.as_array()) {
    EXPECT_EQ(Stream(*tokenizer_, IdsOf(vector.at("ids")), true), TextOf(vector.at("decoded")));
  }
}

// Random ids are mostly invalid byte sequences: streaming must still agree with decoding at once.
TEST_P(Vectors, StreamingEqualsDecodingForRandomIds) {
  Random random(11);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int32_t> ids(1 + random.Below(12));
    // Among the first 300 ids are the bytes, of which broken characters are made.
    const uint64_t bound =
        round % 2 == 0 ? 300 : static_cast<uint64_t>(tokenizer_->vocab_size()) + 5;
    for (int32_t& id : ids) id = static_cast<int32_t>(random.Below(bound));
    const bool skip_special = round % 3 != 0;
    const std::string text = tokenizer_->Decode(ids, skip_special);
    EXPECT_TRUE(IsValidUtf8(text));
    EXPECT_EQ(Stream(*tokenizer_, ids, skip_special), text);
  }
}

TEST_P(Vectors, LongInputsTakeLittleTime) {
  const auto begin = std::chrono::steady_clock::now();
  for (const std::string unit :
       {"a", "ab", "\xE4\xB8\x96", "\xF0\x9F\x98\x80", "e\xCC\x81", " ", "\n", "xX1."}) {
    std::string text;
    while (text.size() < 100'000) text += unit;
    const auto ids = tokenizer_->Encode(text, false);
    ASSERT_TRUE(ids) << ids.error().ToString();
    EXPECT_FALSE(ids->empty());
  }
  // Quadratic merging would take minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Vectors,
                         testing::Values("bytelevel_gpt2", "bytelevel_llama3",
                                         "bytelevel_qwen2_nfc", "spm_llama2", "unigram_t5"),
                         [](const auto& param_info) { return std::string(param_info.param); });

std::string RandomText(Random& random) {
  std::string text;
  const uint64_t length = random.Below(40);
  for (uint64_t i = 0; i < length; ++i) {
    char32_t c = 0;
    switch (random.Below(5)) {
      case 0:
        c = static_cast<char32_t>(random.Below(0x80));
        break;
      case 1:
        c = U" \n\t\r'.,<|>"[random.Below(10)];
        break;
      case 2:
        c = static_cast<char32_t>(random.Below(0x800));
        break;
      default:
        c = static_cast<char32_t>(random.Below(0x110000));
    }
    if (c >= 0xD800 && c < 0xE000) c = U'x';
    AppendUtf8(c, text);
  }
  return text;
}

class RoundTrip : public testing::TestWithParam<const char*> {};

TEST_P(RoundTrip, DecodeUndoesEncode) {
  const auto tokenizer = LoadTestTokenizer(GetParam());
  ASSERT_NE(tokenizer, nullptr);
  Random random(5);
  for (int round = 0; round < 3000; ++round) {
    const std::string text = RandomText(random);
    const std::vector<int32_t> ids = *tokenizer->Encode(text, true);
    EXPECT_EQ(tokenizer->Decode(ids, false), text);
    EXPECT_EQ(Stream(*tokenizer, ids, false), text);
  }
}

INSTANTIATE_TEST_SUITE_P(ByteLevel, RoundTrip,
                         testing::Values("bytelevel_gpt2", "bytelevel_llama3"),
                         [](const auto& param_info) { return std::string(param_info.param); });

TEST(Tokenizer, NamesTokens) {
  const auto tokenizer = LoadTestTokenizer("bytelevel_llama3");
  EXPECT_EQ(tokenizer->TokenToId("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer->IdToToken(2), "<|im_end|>");
  EXPECT_TRUE(tokenizer->IsSpecial(2));
  EXPECT_FALSE(tokenizer->IsSpecial(3));
  EXPECT_FALSE(tokenizer->IsSpecial(-1));
  EXPECT_FALSE(tokenizer->IdToToken(-1));
  EXPECT_FALSE(tokenizer->IdToToken(tokenizer->vocab_size()));
  EXPECT_FALSE(tokenizer->TokenToId("no such token"));
  EXPECT_EQ(tokenizer->vocab_size(), 2000);
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{-5, 1 << 30}, false), "");
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  const auto tokenizer = LoadTestTokenizer("bytelevel_gpt2");
  for (const std::string bad : {"\xFF", "a\xC3", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xC0\x80"}) {
    const auto ids = tokenizer->Encode(bad, true);
    ASSERT_FALSE(ids);
    EXPECT_EQ(ids.error().code, Code::kInvalidArgument);
  }
  EXPECT_EQ(tokenizer->Encode(std::string(kMaxTextBytes + 1, 'a'), true).error().code,
            Code::kResourceExhausted);
}

TEST(StreamDecoder, HoldsBackHalfACharacter) {
  const auto tokenizer = LoadTestTokenizer("bytelevel_gpt2");
  // A character without a token of its own: one id per byte.
  const std::vector<int32_t> ids = *tokenizer->Encode("\xF0\x93\x80\x80", false);
  ASSERT_EQ(ids.size(), 4u);
  StreamDecoder decoder(*tokenizer, true);
  EXPECT_EQ(decoder.Push(ids[0]), "");
  EXPECT_EQ(decoder.Push(ids[1]), "");
  EXPECT_EQ(decoder.Push(ids[2]), "");
  EXPECT_EQ(decoder.Push(ids[3]), "\xF0\x93\x80\x80");
  EXPECT_EQ(decoder.Push(ids[0]), "");
  const int32_t x = *tokenizer->TokenToId("x");
  EXPECT_EQ(decoder.Push(x), "\xEF\xBF\xBDx");
  EXPECT_EQ(decoder.Push(ids[0]), "");
  EXPECT_EQ(decoder.Flush(), "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace shoal::tokenizer
