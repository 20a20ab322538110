// Grammars of schemas: what they take and refuse, and that random texts of them fulfil the schema.
#include "coordinator/grammar/json_grammar.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <random>

#include "base/str_cat.h"

namespace shoal::grammar {
namespace {

namespace json = boost::json;

Grammar OfSchema(const std::string& schema) {
  auto grammar = GrammarOfSchema(json::parse(schema));
  EXPECT_TRUE(grammar) << schema << grammar.error().ToString();
  return grammar ? *std::move(grammar) : GrammarOfAnyObject();
}

bool Takes(const Grammar& grammar, std::string_view text) {
  GrammarState state(grammar);
  return state.Advance(text) && state.is_complete();
}

void ExpectTexts(const std::string& schema, const std::vector<std::string>& good,
                 const std::vector<std::string>& bad) {
  const Grammar grammar = OfSchema(schema);
  for (const std::string& text : good) EXPECT_TRUE(Takes(grammar, text)) << schema << ' ' << text;
  for (const std::string& text : bad) EXPECT_FALSE(Takes(grammar, text)) << schema << ' ' << text;
}

TEST(JsonGrammarTest, KnowsTheSimpleTypes) {
  ExpectTexts(R"({"type": "integer"})", {"0", "-7", "123456789012345"},
              {"", "-", "01", "1.0", "1e3", "1234567890123456", "+1", "1 "});
  ExpectTexts(R"({"type": "number"})", {"0", "-0.5", "12.25e-10", "1E+9"},
              {"1.", ".5", "1e", "1e100", "NaN", "0x1"});
  ExpectTexts(R"({"type": "boolean"})", {"true", "false"}, {"True", "null", "1"});
  ExpectTexts(R"({"type": "null"})", {"null"}, {"", "nul"});
  ExpectTexts(R"({"type": ["string", "null"], "maxLength": 2})", {"null", "\"ab\""}, {"\"abc\""});
}

TEST(JsonGrammarTest, KnowsStrings) {
  ExpectTexts(R"({"type": "string"})",
              {R"("")", R"("a b")", R"("\n\"\\\/\u00e9\uD7ff")", "\"\xc3\xa9\xe2\x82\xac\"",
               "\"\xf0\x9f\x90\x9f\""},
              {R"(")", R"("a)", "\"\n\"", R"("\x")", R"("\u12")", R"("\ud83d")", "\"\xc3\"",
               "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf5\x80\x80\x80\"", "\"\x80\""});
  ExpectTexts(R"({"type": "string", "minLength": 2, "maxLength": 3})",
              {"\"ab\"", "\"abc\"", "\"\xc3\xa9\\n\""}, {"\"a\"", "\"abcd\"", "\"\""});
  ExpectTexts(R"({"enum": ["red", "a\"b", 3, null, {"x": [1]}]})",
              {"\"red\"", R"("a\"b")", "3", "null", R"({"x":[1]})"}, {"\"re\"", "\"blue\"", "4"});
  ExpectTexts(R"({"const": "yes"})", {"\"yes\""}, {"\"no\"", "yes"});
}

TEST(JsonGrammarTest, KnowsArrays) {
  ExpectTexts(R"({"type": "array", "items": {"type": "integer"}})",
              {"[]", "[1]", "[1,2]", "[1, 2, 3]", "[\n  1,\n  2\n]"},
              {"[", "[,]", "[1,]", "[1 2]", "[\"a\"]", "[  1]"});
  ExpectTexts(R"({"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 3})",
              {"[1,1]", "[1,1,1]"}, {"[]", "[1]", "[1,1,1,1]"});
  ExpectTexts(R"({"type": "array", "items": {"const": 1}, "minItems": 2})",
              {"[1,1]", "[1,1,1,1,1]"}, {"[]", "[1]"});
  ExpectTexts(R"({"type": "array", "maxItems": 0})", {"[]"}, {"[1]"});
}

TEST(JsonGrammarTest, KnowsObjects) {
  const std::string schema = R"({"type": "object", "properties": {"a": {"type": "integer"},
      "b": {"type": "boolean"}, "c": {"type": "null"}}, "required": ["b"],
      "additionalProperties": false})";
  ExpectTexts(
      schema,
      {R"({"b":true})", R"({"a": 1, "b": false})", R"({"b":true,"c":null})",
       R"({"a":1,"b":true,"c":null})", "{\n  \"a\": 1,\n  \"b\": true\n}"},
      {"{}", R"({"a":1})", R"({"b":true,"a":1})", R"({"b":1})", R"({"b":true,})", R"({,"b":true})",
       R"({"b":true,"x":1})", R"({"a":1 "b":true})", R"({"b":true,"b":true})"});
  ExpectTexts(R"({"type": "object", "properties": {"a": {"type": "integer"}}})",
              {"{}", R"({"a":1})"}, {R"({"a":"x"})"});
  ExpectTexts(R"({"type": "object", "additionalProperties": {"type": "integer"}})",
              {"{}", R"({"x":1,"y y":2})"}, {R"({"x":"1"})", R"({x:1})"});
  ExpectTexts(R"({"type": "object", "additionalProperties": false})", {"{}", "{ }"},
              {R"({"a":1})"});
  ExpectTexts(R"({"type": "object", "required": ["k"]})", {R"({"k":[1,{"z":null}]})"}, {"{}"});
}

TEST(JsonGrammarTest, KnowsUnionsAndRecursion) {
  ExpectTexts(R"({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"$ref": "#"}}]})",
              {"1", "[]", "[1,[2,[]]]"}, {"\"a\"", "[1"});
  ExpectTexts(R"({"$defs": {"tree": {"type": "object", "properties": {"v": {"type": "integer"},
      "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}},
      "required": ["v", "next"]}}, "$ref": "#/$defs/tree"})",
              {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":null}})"},
              {R"({"v":1})", R"({"v":1,"next":{}})"});
}

TEST(JsonGrammarTest, KnowsAnyObject) {
  const Grammar grammar = GrammarOfAnyObject();
  EXPECT_TRUE(Takes(grammar, R"({"a":[1,{"b":"c"},[]],"d":{"e":-1.5e3}})"));
  EXPECT_TRUE(Takes(grammar, "{}"));
  EXPECT_FALSE(Takes(grammar, "[]"));
  EXPECT_FALSE(Takes(grammar, R"({"a"})"));
}

TEST(JsonGrammarTest, KnowsBoundsOfNumbers) {
  ExpectTexts(R"({"type": "integer", "minimum": 0, "maximum": 120})", {"0", "9", "10", "99", "120"},
              {"-0", "-1", "121", "00", "1.0", "200", ""});
  ExpectTexts(R"({"type": "integer", "exclusiveMinimum": -15, "maximum": -3})", {"-14", "-3", "-9"},
              {"-15", "-2", "0", "3", "-140"});
  ExpectTexts(R"({"type": "integer", "minimum": 5})", {"5", "10", "999999999999999"},
              {"4", "1000000000000000", "-5"});
  ExpectTexts(R"({"type": "number", "minimum": 0, "maximum": 1})",
              {"0", "1", "0.5", "0.000001", "1.0", "0.999999", "0.0"},
              {"1.000001", "-0.1", "-0", "1.1", "0.0000001", "2", ".5", "0."});
  ExpectTexts(R"({"type": "number", "exclusiveMinimum": -0.25, "exclusiveMaximum": 12.5})",
              {"-0.249999", "-0.2", "0", "9.75", "12", "12.499999", "-0.1"},
              {"-0.25", "-0.3", "12.5", "12.51", "13", "-1"});
  ExpectTexts(R"({"type": ["integer", "string", "null"], "maximum": 3, "maxLength": 1})",
              {"3", "-7", "\"a\"", "null"}, {"4", "\"ab\""});
}

// Every text of two digits before and behind the point, against the comparison of numbers.
TEST(JsonGrammarTest, KeepsToRandomBounds) {
  std::mt19937 random(7);
  for (int at = 0; at < 60; ++at) {
    int least = static_cast<int>(random() % 4000) - 2000;  // Hundredths.
    int most = least + static_cast<int>(random() % 1500) + 3;
    const bool excludes_least = random() % 2 == 0;
    const bool excludes_most = random() % 2 == 0;
    const bool is_whole = random() % 3 == 0;
    if (is_whole) {
      least = least / 100 * 100;
      most = least + 100 * (3 + static_cast<int>(random() % 12));
    }
    const Grammar grammar = OfSchema(
        StrCat(R"({"type": ")", is_whole ? "integer" : "number", R"(", ")",
               excludes_least ? "exclusiveMinimum" : "minimum", "\": ", least / 100.0, ", \"",
               excludes_most ? "exclusiveMaximum" : "maximum", "\": ", most / 100.0, "}"));
    for (int hundredths = -4000; hundredths <= 4000; ++hundredths) {
      const int size = std::abs(hundredths);
      std::string text = StrCat(hundredths < 0 ? "-" : "", size / 100);
      if (size % 100 != 0) text += StrCat(".", size / 10 % 10);
      if (size % 10 != 0) text += StrCat(size % 10);
      const bool is_within = (excludes_least ? hundredths > least : hundredths >= least) &&
                             (excludes_most ? hundredths < most : hundredths <= most);
      EXPECT_EQ(Takes(grammar, text), is_within && (!is_whole || size % 100 == 0))
          << text << " of " << least << " to " << most << excludes_least << excludes_most;
    }
  }
}

TEST(JsonGrammarTest, RefusesWhatItCannotEnforce) {
  for (const char* schema :
       {R"({"type": "string", "pattern": "a+"})", R"({"type": "integer", "multipleOf": 3})",
        R"({"oneOf": [{"type": "integer"}]})", R"({"not": {}})", R"({"type": "array",
        "uniqueItems": true})",
        R"({"allOf": [{}, {}]})", R"({"type": "object", "properties":
        {"a": {"type": "string", "format": "email"}}})"}) {
    const auto grammar = GrammarOfSchema(json::parse(schema));
    ASSERT_FALSE(grammar) << schema;
    EXPECT_EQ(grammar.error().code, Code::kUnimplemented) << schema;
  }
  for (const char* schema :
       {"1", "false", R"({"type": "text"})", R"({"type": []})", R"({"enum": []})", R"({"enum": 1})",
        R"({"$ref": "#/nothing"})", R"({"$ref": "https://a/b"})", R"({"$ref": "#"})",
        R"({"type": "string", "minLength": -1})", R"({"anyOf": []})",
        R"({"type": "string", "minLength": 3, "maxLength": 2})",
        R"({"type": "integer", "minimum": 3, "exclusiveMaximum": 3})",
        R"({"type": "integer", "minimum": 3.1, "maximum": 3.9})",
        R"({"type": "number", "minimum": "3"})", R"({"type": "object", "required": [1]})",
        R"({"type": "object", "properties": 1})"}) {
    const auto grammar = GrammarOfSchema(json::parse(schema));
    ASSERT_FALSE(grammar) << schema;
    EXPECT_EQ(grammar.error().code, Code::kInvalidArgument) << schema;
  }
  EXPECT_EQ(GrammarOfSchema(json::parse(R"({"type": "string", "maxLength": 100000})")).error().code,
            Code::kResourceExhausted);
  EXPECT_NE(
      GrammarOfSchema(json::parse(R"({"type": "object", "properties": {"a": {"type": "x"}}})"))
          .error()
          .detail.find("properties.a.type"),
      std::string::npos);
}

// Random walks: every text that is reached and complete is JSON.
TEST(JsonGrammarTest, MakesNothingButJson) {
  const Grammar grammar = OfSchema(R"({"type": "object", "properties": {
      "name": {"type": "string", "maxLength": 8}, "tags": {"type": "array", "maxItems": 3, "items":
      {"anyOf": [{"type": "number"}, {"type": "string", "maxLength": 4}, {"type": "null"}]}},
      "kind": {"enum": ["x", "y"]}}, "required": ["name", "tags"]})");
  std::mt19937 random(1);
  int complete = 0;
  for (int at = 0; at < 300; ++at) {
    GrammarState state(grammar);
    std::string text;
    while (!state.is_complete() && text.size() < 2000) {
      std::vector<uint8_t> possible;
      for (unsigned byte = 0; byte < 256; ++byte) {
        GrammarState next = state;
        if (next.Advance(static_cast<uint8_t>(byte))) possible.push_back(byte);
      }
      ASSERT_FALSE(possible.empty()) << text;
      const uint8_t chosen = possible[random() % possible.size()];
      text += static_cast<char>(chosen);
      ASSERT_TRUE(state.Advance(chosen));
    }
    if (!state.is_complete()) continue;
    ++complete;
    json::error_code error;
    const json::value value = json::parse(text, error);
    ASSERT_FALSE(error) << text << ": " << error.message();
    EXPECT_TRUE(value.at("name").is_string());
    EXPECT_LE(value.at("tags").as_array().size(), 3u);
    if (value.as_object().contains("kind")) {
      EXPECT_TRUE(value.at("kind") == "x" || value.at("kind") == "y");
    }
  }
  EXPECT_GT(complete, 250);
}

}  // namespace
}  // namespace shoal::grammar
