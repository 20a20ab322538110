#include "wire/json.h"

#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "wire/codec.h"
#include "wire/decimal.h"
#include "wire/utf8.h"

namespace shoal::wire {
namespace {

constexpr std::string_view kCancel =
    R"({"kind":"cancel","to":2,"from":0,"body":{"session":"7","epoch":1}})";

std::string ErrorOf(std::string_view text) {
  const auto frame = FromJson(text);
  return frame ? "no error" : frame.error().ToString();
}

// kCancel with one part replaced.
std::string Changed(std::string_view part, std::string_view by) {
  std::string text(kCancel);
  const size_t at = text.find(part);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, part.size(), by);
}

TEST(Json, ReadsAndWritesAFrame) {
  const Frame frame{.to = NodeId{2}, .from = {}, .body = Cancel{SessionId{7}, Epoch{1}}};
  EXPECT_EQ(ToJson(frame, PayloadForm::kHex), kCancel);
  const auto read = FromJson(kCancel);
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(*read, frame);
  // Any order of fields, and white space.
  EXPECT_EQ(FromJson("\t{ \"from\" : 0 ,\r\n\"kind\": \"cancel\", \"to\":2, "
                     "\"body\":{\"epoch\":1,\"session\":\"7\"}} \n"),
            frame);
}

TEST(Json, RefusesWhatIsNotTheFrame) {
  const struct {
    std::string text;
    std::string_view message;
  } cases[] = {
      {"", "'{' expected at byte 0"},
      {"[]", "'{' expected"},
      {"{}", "'\"' expected"},
      {std::string(kCancel) + "x", "something follows"},
      {std::string(kCancel.substr(0, kCancel.size() - 1)), "'}' expected"},
      {R"({"kind":"cancel","to":2,"from":0})", "a frame has kind, to, from and body"},
      {R"({"body":{},"kind":"cancel"})", "\"kind\" must come before"},
      {Changed("cancel", "cancle"), "frame kind \"cancle\" is not known"},
      {Changed("\"to\":2", "\"to\":2,\"to\":2"), "twice"},
      {Changed("\"to\":2", "\"two\":2"), "\"two\" is not a member"},
      {Changed("2", "-1"), "\"-1\" is no integer from 0 to 4294967295"},
      {Changed("2", "4294967296"), "no integer"},
      {Changed("2", "02"), "no integer"},
      {Changed("2", "2.0"), "no integer"},
      {Changed("2", "true"), "a number expected"},
      {Changed("\"7\"", "7"), "cancel.session: '\"' expected"},
      {Changed("\"7\"", "\"\""), "cancel.session: \"\" is no integer"},
      {Changed("\"7\"", "\"18446744073709551616\""), "cancel.session"},
      {Changed("\"epoch\":1", "\"epoch\":1,\"epoch\":1"), "cancel: \"epoch\" is there twice"},
      {Changed("\"epoch\":1", "\"epoch\":1,\"more\":1"), "cancel: there is no field \"more\""},
      {Changed(",\"epoch\":1", ""), "cancel: no \"epoch\""},
      {Changed(",\"epoch\":1", ","), "'\"' expected"},
      {R"({"kind":"ping","to":0,"from":0,"body":{"nonce":"1","reply":1}})", "true or false"},
      {R"({"kind":"bye","to":0,"from":0,"body":{"reason":"a)"
       "\n"
       R"("}})",
       "control character"},
      {R"({"kind":"bye","to":0,"from":0,"body":{"reason":"\ud800"}})", "surrogate"},
      {R"({"kind":"bye","to":0,"from":0,"body":{"reason":"\ud800\u0041"}})", "surrogate"},
      {R"({"kind":"bye","to":0,"from":0,"body":{"reason":"\udc00"}})", "surrogate"},
      {R"({"kind":"bye","to":0,"from":0,"body":{"reason":"\x"}})", "unknown escape"},
      {R"({"kind":"bye","to":0,"from":0,"body":{"reason":"\u12g4"}})", "hexadecimal"},
      {R"({"kind":"bye","to":0,"from":0,"body":{"reason":"abc)", "without its end"},
      {"{\"kind\":\"bye\",\"to\":0,\"from\":0,\"body\":{\"reason\":\"\xff\"}}", "not UTF-8"},
      {R"({"kind":"bye","to":0,"from":0,"body":{"reason":")" + std::string(4097, 'x') + "\"}}",
       "bye.reason: 4097 bytes"},
      {R"({"kind":"error","to":0,"from":0,"body":)"
       R"({"code":0,"session":"0","epoch":0,"generation":0,"detail":""}})",
       "error.code: 0 is not known"},
      {std::string(kJsonBytesMax + 1, ' '), "at most"},
      {std::string(100'000, '['), "'{' expected"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_NE(ErrorOf(text).find(message), std::string::npos)
        << text.substr(0, 200) << " -> " << ErrorOf(text);
  }
}

TEST(Json, ReadsEscapes) {
  const auto frame = FromJson(
      R"({"kind":"bye","to":0,"from":0,)"
      R"("body":{"reason":"\"\\\/\b\f\n\r\t\u0000\u00fc\ud83d\udc1f"}})");
  ASSERT_TRUE(frame.has_value()) << frame.error().ToString();
  const std::string reason = std::get<Bye>(frame->body).reason;
  EXPECT_EQ(reason, std::string("\"\\/\b\f\n\r\t\0ü🐟", 15));
  const auto again = FromJson(ToJson(*frame, PayloadForm::kHex));
  EXPECT_EQ(again, *frame);
}

TEST(Json, CarriesPayloadsBeside) {
  const ByteVector payload = {1, 2, 3, 4};
  const Frame frame{.to = {},
                    .from = {},
                    .body = Step{.rows = {{}}, .type = PayloadType::kF32, .payload = payload}};
  const std::string text = ToJson(frame, PayloadForm::kBeside);
  EXPECT_NE(text.find("\"payload_bytes\":4"), std::string::npos) << text;
  EXPECT_EQ(FromJson(text, Bytes(payload)), frame);
  EXPECT_EQ(FromJson(ToJson(frame, PayloadForm::kHex), Bytes()), frame);
  EXPECT_FALSE(FromJson(text).has_value());
  EXPECT_FALSE(FromJson(text, Bytes(payload).subspan(1)).has_value());
  EXPECT_FALSE(FromJson(ToJson(frame, PayloadForm::kHex), Bytes(payload)).has_value());
  EXPECT_FALSE(FromJson(kCancel, Bytes(payload)).has_value());
}

TEST(Json, ReadsSamplingAlone) {
  const Sampling sampling{.row = 1, .seed = 7, .temperature = 0.5f, .mask = {0xff, 0x01}};
  const auto read = SamplingFromJson(ToJson(sampling));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(*read, sampling);
  EXPECT_EQ(SamplingFromJson("{}").error().detail, "sampling: no \"row\"");
}

TEST(Json, QuotesAnything) {
  EXPECT_EQ(JsonQuote("a\"b\\\n\x7f ü"), "\"a\\\"b\\\\\\u000a\x7f ü\"");
  EXPECT_EQ(JsonQuote("\xff"), "\"\uFFFD\"");
}

// --- Decimal numbers ---------------------------------------------------------------------------

TEST(Decimal, PrintsAsJavaScriptDoes) {
  const std::pair<double, std::string_view> cases[] = {
      {0, "0"},
      {-0.0, "-0"},
      {1, "1"},
      {0.1, "0.1"},
      {123.456, "123.456"},
      {1e20, "100000000000000000000"},
      {1e21, "1e+21"},
      {0.000001, "0.000001"},
      {1e-7, "1e-7"},
      {-1.5e300, "-1.5e+300"},
      {5e-324, "5e-324"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {9007199254740993.0, "9007199254740992"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(DoubleToDecimal(value), text);
  EXPECT_EQ(FloatToDecimal(0.7f), "0.7");
  EXPECT_EQ(FloatToDecimal(16777216.0f), "16777216");
}

TEST(Decimal, RefusesWhatIsNoNumber) {
  for (const char* text : {"", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x1", "1 ", "nan", "inf",
                           "1e309", "-1e999999999999", "12345678901234567891"}) {
    EXPECT_FALSE(DecimalToDouble(text).has_value()) << text;
  }
  EXPECT_EQ(DecimalToDouble("1e-999999999999"), 0.0);
  EXPECT_EQ(DecimalToDouble("1234567890123456789000000"), 1234567890123456789e6);
}

// The standard library's own, which native builds have, are the reference.
TEST(Decimal, AgreesWithTheStandardLibrary) {
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto value = std::bit_cast<double>(random.NextU64());
    if (!std::isfinite(value)) continue;
    const std::string text = DoubleToDecimal(value);
    double reference = 0;
    std::from_chars(text.data(), text.data() + text.size(), reference);
    EXPECT_EQ(reference, value) << text;
    EXPECT_EQ(DecimalToDouble(text), value) << text;
    char shortest[32];
    const auto end =
        std::to_chars(shortest, shortest + sizeof(shortest), value, std::chars_format::scientific)
            .ptr;
    const auto digits = [](std::string_view t) {
      std::string kept;
      for (const char c : t.substr(0, t.find('e'))) {
        if (c >= '0' && c <= '9' && (c != '0' || !kept.empty())) kept += c;
      }
      while (kept.ends_with('0')) kept.pop_back();
      return kept;
    };
    EXPECT_EQ(digits(text).size(), digits({shortest, end}).size()) << text;
    const auto narrow = std::bit_cast<float>(static_cast<uint32_t>(random.NextU64()));
    if (!std::isfinite(narrow)) continue;
    const auto read = DecimalToDouble(FloatToDecimal(narrow));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(static_cast<float>(*read), narrow);
  }
}

TEST(Decimal, RoundsAsTheStandardLibraryDoes) {
  Random random(2);
  for (int i = 0; i < 50'000; ++i) {
    const uint64_t digits = random.NextU64() % 1'000'000'000'000'000'000 >> random.Below(60);
    const int exponent = static_cast<int>(random.Below(700)) - 360;
    const std::string text = std::to_string(digits) + "e" + std::to_string(exponent);
    double reference = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), reference);
    const std::optional<double> read = DecimalToDouble(text);
    if (error == std::errc::result_out_of_range) {
      EXPECT_TRUE(!read || *read == 0) << text;
    } else {
      EXPECT_EQ(read, reference) << text;
    }
  }
  EXPECT_EQ(DecimalToDouble("9007199254740993"), 9007199254740992.0);  // Tie, to even.
  EXPECT_EQ(DecimalToDouble("9007199254740995"), 9007199254740996.0);  // Tie, to even.
  EXPECT_EQ(DecimalToDouble("2.4703282292062327e-324"), 0.0);          // Below half.
  EXPECT_EQ(DecimalToDouble("2.4703282292062328e-324"), 5e-324);       // Above half.
}

// --- UTF-8 -------------------------------------------------------------------------------------

TEST(Utf8, KnowsWellFormedSequences) {
  for (const char* text : {"", "a", "ü", "€", "🐟", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  for (const char* text :
       {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff", "\xc3("}) {
    EXPECT_FALSE(IsUtf8(text));
  }
}

}  // namespace
}  // namespace shoal::wire
