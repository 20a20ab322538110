// The sampler's golden file, which web/core holds the WebAssembly build against: the same bits
// natively and in a tab. SHOAL_UPDATE_GOLDEN=1 writes the expected tokens anew.

#include "wire/sampling.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>

#include "wire/frames_for_test.h"
#include "wire/json.h"

namespace shoal::wire {
namespace {

constexpr const char* kCases = SHOAL_SOURCE_DIR "/tests/golden/sampler/cases.json";

// Exact in every language: the high 24 bits of i * multiplier mod 2^32, over 2^20, minus 8; so
// multiples of 2^-20 in [-8, 8).
std::vector<float> Logits(uint32_t vocab, uint32_t multiplier) {
  std::vector<float> logits(vocab);
  for (uint32_t i = 0; i < vocab; ++i) {
    logits[i] = static_cast<float>(i * multiplier >> 8) * 0x1p-20f - 8;
  }
  return logits;
}

TEST(SamplingGolden, TokensAreThoseOfTheFile) {
  namespace json = boost::json;
  json::value cases = json::parse(ReadTestFile(kCases));
  ASSERT_GE(cases.as_array().size(), 12u);
  const bool update = std::getenv("SHOAL_UPDATE_GOLDEN") != nullptr;
  for (json::value& one : cases.as_array()) {
    const json::string name = one.at("name").as_string();
    const auto sampling = SamplingFromJson(json::serialize(one.at("sampling")));
    ASSERT_TRUE(sampling.has_value()) << name << ": " << sampling.error().ToString();
    const auto logits =
        Logits(one.at("vocab").to_number<uint32_t>(), one.at("multiplier").to_number<uint32_t>());
    json::array tokens;
    for (uint32_t position = 1; position <= one.at("positions").to_number<uint32_t>(); ++position) {
      const auto token = SampleToken(logits, Row{.position = position - 1}, *sampling);
      ASSERT_TRUE(token.has_value()) << name << ": " << token.error().ToString();
      EXPECT_EQ(token->position, position);
      json::object fields = json::parse(ToJson(*token)).as_object();
      for (const char* other : {"session", "epoch", "position"}) fields.erase(other);
      tokens.push_back(std::move(fields));
    }
    if (update) {
      one.as_object()["tokens"] = tokens;
    } else {
      EXPECT_EQ(json::serialize(one.at("tokens")), json::serialize(tokens)) << name;
    }
  }
  if (update) std::ofstream(kCases) << json::serialize(cases) << "\n";
}

TEST(Sampling, AnswersForTheRow) {
  const Row row{.session = SessionId{9}, .epoch = Epoch{2}, .position = 41};
  const auto token = SampleToken(std::vector<float>{0, 3, 1}, row, Sampling{.top_logprobs = 2});
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(token->session, SessionId{9});
  EXPECT_EQ(token->epoch, Epoch{2});
  EXPECT_EQ(token->position, 42u);
  EXPECT_EQ(token->token, 1);
  ASSERT_EQ(token->top.size(), 2u);
  EXPECT_EQ(token->top[1].token, 2);
}

TEST(Sampling, PassesErrorsOn) {
  const auto token = SampleToken(std::vector<float>{0, 1}, Row{}, Sampling{.biases = {{2, 1.0f}}});
  ASSERT_FALSE(token.has_value());
  EXPECT_EQ(token.error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace shoal::wire
