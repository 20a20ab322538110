// Every normalizer, pre-tokenizer, post-processor, decoder and option against Hugging Face's
// answers (tests/golden/tokenizers/variants.json, written by generate_variants.mjs there).
#include "tokenizer/test_files.h"

namespace shoal::tokenizer {
namespace {

// The base file with parts of it replaced, as generate_variants.mjs does it.
std::string Patched(boost::json::value file, const boost::json::object& patch) {
  boost::json::object& fields = file.as_object();
  for (const auto& entry : patch) {
    if (entry.key() == "model") {
      for (const auto& option : entry.value().as_object()) {
        fields["model"].as_object()[option.key()] = option.value();
      }
    } else if (entry.key() == "added_tokens") {
      for (const auto& token : entry.value().as_array()) {
        fields["added_tokens"].as_array().push_back(token);
      }
    } else {
      fields[entry.key()] = entry.value();
    }
  }
  return boost::json::serialize(file);
}

TEST(Variants, GiveTheReferencesIdsAndTexts) {
  std::map<std::string, boost::json::value> bases;
  const auto variants = boost::json::parse(ReadTestFile("tokenizers/variants.json"));
  ASSERT_GT(variants.as_array().size(), 90u);
  for (const auto& variant : variants.as_array()) {
    const std::string base = TextOf(variant.at("base"));
    if (!bases.contains(base)) {
      bases[base] = boost::json::parse(ReadTestFile("tokenizers/" + base + "/tokenizer.json"));
    }
    SCOPED_TRACE(base + boost::json::serialize(variant.at("patch")).substr(0, 600));
    const auto tokenizer = Tokenizer::Load(Patched(bases[base], variant.at("patch").as_object()));
    ASSERT_TRUE(tokenizer) << tokenizer.error().ToString();
    for (const auto& row : variant.at("cases").as_array()) {
      const std::string text = TextOf(row.at(0));
      const std::vector<int32_t> ids = ParseIds(TextOf(row.at(1)));
      EXPECT_EQ((*tokenizer)->Encode(text, true), ids) << text;
      EXPECT_EQ((*tokenizer)->Decode(ids, false), TextOf(row.at(2)));
      EXPECT_EQ((*tokenizer)->Decode(ids, true), TextOf(row.at(3)));
      EXPECT_EQ(Stream(**tokenizer, ids, true), TextOf(row.at(3)));
    }
  }
}

}  // namespace
}  // namespace shoal::tokenizer
