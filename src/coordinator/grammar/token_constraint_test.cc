// Masks against trying every token by itself.
#include "coordinator/grammar/token_constraint.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <fstream>
#include <random>
#include <sstream>

#include "coordinator/grammar/json_grammar.h"

namespace shoal::grammar {
namespace {

namespace json = boost::json;

std::unique_ptr<tokenizer::Tokenizer> LoadTokenizer(const std::string& path) {
  std::ifstream file(std::string(SHOAL_SOURCE_DIR) + path);
  std::ostringstream text;
  text << file.rdbuf();
  auto loaded = tokenizer::Tokenizer::Load(text.str());
  EXPECT_TRUE(loaded) << loaded.error().ToString();
  return *std::move(loaded);
}

bool IsSet(const std::vector<uint8_t>& mask, int32_t id) {
  return (mask[static_cast<size_t>(id) / 8] >> id % 8 & 1) != 0;
}

class TokenConstraintTest : public testing::Test {
 protected:
  std::shared_ptr<const Grammar> Of(const std::string& schema) {
    auto grammar = GrammarOfSchema(json::parse(schema));
    EXPECT_TRUE(grammar) << grammar.error().ToString();
    return std::make_shared<const Grammar>(*std::move(grammar));
  }

  const std::unique_ptr<tokenizer::Tokenizer> tokenizer_ =
      LoadTokenizer("/models/storyteller/tokenizer.json");
  const uint32_t size_ = static_cast<uint32_t>(tokenizer_->vocab_size());
  const Vocabulary vocabulary_ = Vocabulary::Of(*tokenizer_, size_);
  const int32_t end_ = *tokenizer_->TokenToId("<|end|>");
};

TEST_F(TokenConstraintTest, KnowsTheBytesOfTokens) {
  EXPECT_TRUE(vocabulary_.BytesOf(end_).empty());
  EXPECT_TRUE(vocabulary_.BytesOf(-1).empty());
  for (const char* text :
       {"Hello world", "  two", "\n\n", "na\xc3\xafve \xf0\x9f\x90\x9f {\"a\": 1}"}) {
    std::string bytes;
    const auto ids = *tokenizer_->Encode(text, false);
    for (const int32_t id : ids) bytes += vocabulary_.BytesOf(id);
    EXPECT_EQ(bytes, text);
  }
}

// A walk of random allowed tokens: at each, the mask is what trying every token gives, and the
// text that comes out fulfils the schema.
TEST_F(TokenConstraintTest, AllowsExactlyWhatTheGrammarTakes) {
  const auto grammar = Of(R"({"type": "object", "properties": {"name": {"type": "string",
      "maxLength": 12}, "age": {"type": "integer"}, "tags": {"type": "array", "maxItems": 2,
      "items": {"enum": ["fox", "dragon"]}}}, "required": ["name", "age", "tags"]})");
  TokenConstraint constraint(grammar, vocabulary_, {end_});
  std::mt19937 random(5);
  for (int walk = 0; walk < 5; ++walk) {
    std::vector<int32_t> generated;
    std::string text;
    while (generated.size() < 200) {
      const std::vector<uint8_t>& mask = constraint.Mask(generated);
      GrammarState state(*grammar);
      ASSERT_TRUE(text.empty() || state.Advance(text)) << text;
      std::vector<int32_t> allowed;
      for (int32_t id = 0; id < static_cast<int32_t>(size_); ++id) {
        GrammarState next = state;
        const std::string& bytes = vocabulary_.BytesOf(id);
        const bool expected =
            id == end_ ? state.is_complete() : !bytes.empty() && next.Advance(bytes);
        ASSERT_EQ(IsSet(mask, id), expected) << text << " + " << bytes;
        if (expected) allowed.push_back(id);
      }
      ASSERT_FALSE(allowed.empty());
      generated.push_back(allowed[random() % allowed.size()]);
      if (generated.back() == end_) break;
      text += vocabulary_.BytesOf(generated.back());
    }
    ASSERT_EQ(generated.back(), end_) << text;
    const json::value value = json::parse(text);
    EXPECT_TRUE(value.at("age").is_number());
    EXPECT_LE(value.at("tags").as_array().size(), 2u);
  }
}

TEST_F(TokenConstraintTest, IsAFunctionOfTheTokensAlone) {
  const auto grammar = Of(R"({"type": "array", "items": {"type": "integer"}})");
  TokenConstraint one(grammar, vocabulary_, {end_});
  const auto long_ids = *tokenizer_->Encode("[1, 22, 3]", false);
  const auto other_ids = *tokenizer_->Encode("[7", false);
  std::vector<std::vector<uint8_t>> forward;
  for (size_t count = 0; count <= long_ids.size(); ++count) {
    forward.push_back(one.Mask(std::span(long_ids).first(count)));
  }
  one.Mask(other_ids);
  for (size_t count = long_ids.size() + 1; count-- > 0;) {
    EXPECT_EQ(one.Mask(std::span(long_ids).first(count)), forward[count]) << count;
  }
  // Complete: nothing but the end.
  for (int32_t id = 0; id < static_cast<int32_t>(size_); ++id) {
    EXPECT_EQ(IsSet(forward.back(), id), id == end_) << id;
  }
  // What was never allowed leaves nothing but the end.
  const auto broken = *tokenizer_->Encode("no json", false);
  EXPECT_TRUE(IsSet(one.Mask(broken), end_));
}

}  // namespace
}  // namespace shoal::grammar
