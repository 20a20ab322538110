// Tokenizers made of other files, against the libraries that those files belong to
// (tests/golden/tokenizers/converted).
#include "tokenizer/convert/convert.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "tokenizer/test_files.h"

namespace shoal::tokenizer {
namespace {

std::string Golden(const std::string& name) { return ReadTestFile("tokenizers/converted/" + name); }

std::unique_ptr<Tokenizer> Make(const Result<std::string>& json) {
  EXPECT_TRUE(json) << json.error().ToString();
  if (!json) return nullptr;
  auto tokenizer = Tokenizer::Load(*json);
  EXPECT_TRUE(tokenizer) << tokenizer.error().ToString();
  return tokenizer ? *std::move(tokenizer) : nullptr;
}

constexpr std::string_view kTiktokenConfig = R"({"added_tokens_decoder": {
    "1997": {"content": "[BOS]", "special": true},
    "1999": {"content": "<|im_end|>", "special": true}}, "bos_token": "[BOS]"})";

TEST(Tiktoken, GivesWhatTiktokenGives) {
  std::map<std::string, std::unique_ptr<Tokenizer>> tokenizers;
  const std::string file = Golden("tiktoken.model");
  const auto rows = boost::json::parse(Golden("tiktoken.json"));
  ASSERT_GT(rows.as_array().size(), 700u);
  for (const auto& row : rows.as_array()) {
    const std::string name = TextOf(row.at("file"));
    auto& tokenizer = tokenizers[name];
    if (tokenizer == nullptr) tokenizer = Make(TokenizerJsonOf(name, file, kTiktokenConfig));
    ASSERT_NE(tokenizer, nullptr) << name;
    const std::string text = TextOf(row.at("text"));
    const std::vector<int32_t> ids = ParseIds(TextOf(row.at("ids")));
    EXPECT_EQ(tokenizer->Encode(text, false), ids) << name << ": " << text;
    EXPECT_EQ(tokenizer->Decode(ids, false), text) << name;
  }
  EXPECT_EQ(tokenizers.size(), TokenizerModelFiles().size());
  // Kimi's reserved tokens have their ids' names, Llama 3's are counted; Llama 3 begins a text.
  EXPECT_EQ(tokenizers["tiktoken.model"]->IdToToken(1998), "<|reserved_token_1998|>");
  EXPECT_EQ(tokenizers["tiktoken.model"]->vocab_size(), 1997 + 256);
  EXPECT_EQ(tokenizers["tokenizer.model"]->IdToToken(1998), "<|reserved_special_token_0|>");
  EXPECT_EQ(tokenizers["tokenizer.model"]->Encode("", true), std::vector<int32_t>{1997});
  EXPECT_EQ(tokenizers["tiktoken.model"]->Encode("", true), std::vector<int32_t>{});
}

struct SentencePieceRow {
  std::string text;
  std::vector<int32_t> ids;
  std::string decoded;
};
std::map<std::string, std::vector<SentencePieceRow>> SentencePieceRows() {
  std::map<std::string, std::vector<SentencePieceRow>> rows;
  const auto list = boost::json::parse(Golden("sentencepiece.json"));
  for (const auto& row : list.as_array()) {
    rows[TextOf(row.at("model"))].push_back(
        {TextOf(row.at("text")), ParseIds(TextOf(row.at("ids"))), TextOf(row.at("decoded"))});
  }
  return rows;
}

void Check(const Tokenizer& tokenizer, const std::vector<SentencePieceRow>& rows,
           const std::string& what) {
  for (const SentencePieceRow& row : rows) {
    EXPECT_EQ(tokenizer.Encode(row.text, false), row.ids) << what << ": " << row.text;
    // SentencePiece makes " ⁇ " of an unknown token, of which the ids say nothing.
    if (std::ranges::find(row.ids, 0) != row.ids.end()) continue;
    EXPECT_EQ(tokenizer.Decode(row.ids, true), row.decoded) << what << ": " << row.text;
  }
}

TEST(SentencePiece, GivesWhatSentencePieceGives) {
  const auto rows = SentencePieceRows();
  ASSERT_EQ(rows.size(), 6u);
  for (const auto& [name, of_model] : rows) {
    ASSERT_GT(of_model.size(), 150u);
    const auto tokenizer = Make(TokenizerJsonOf("tokenizer.model", Golden(name + ".model"), ""));
    ASSERT_NE(tokenizer, nullptr) << name;
    Check(*tokenizer, of_model, name);
    EXPECT_EQ(tokenizer->Encode("", true), std::vector<int32_t>{1});
    EXPECT_TRUE(tokenizer->IsSpecial(2));
  }
}

TEST(SentencePiece, ConfigurationDecidesWhatBeginsAndEnds) {
  const auto t5 = Make(TokenizerJsonOf("tokenizer.model", Golden("unigram.model"),
                                       R"({"tokenizer_class": "T5Tokenizer"})"));
  EXPECT_EQ(t5->Encode("", true), std::vector<int32_t>{2});
  const auto neither =
      Make(TokenizerJsonOf("tokenizer.model", Golden("bpe.model"),
                           R"({"add_bos_token": false, "eos_token": {"content": "</s>"}})"));
  EXPECT_EQ(neither->Encode("", true), std::vector<int32_t>{});
  // Without the legacy behaviour only the beginning of the whole text gets a space.
  const auto newer =
      Make(TokenizerJsonOf("tokenizer.model", Golden("bpe.model"), R"({"legacy": false})"));
  const auto older = Make(TokenizerJsonOf("tokenizer.model", Golden("bpe.model"), ""));
  const auto ids = [](const Tokenizer& tokenizer, std::string_view text) {
    return *tokenizer.Encode(text, false);
  };
  EXPECT_EQ(ids(*newer, "the"), ids(*older, "the"));
  EXPECT_NE(ids(*newer, "<s>the"), ids(*older, "<s>the"));
  std::vector<int32_t> expected = ids(*older, "the");
  expected.insert(expected.begin(), 1);
  EXPECT_EQ(ids(*older, "<s>the"), expected);
}

TEST(GgufTokenizer, GivesWhatSentencePieceGives) {
  for (const auto& [name, rows] : SentencePieceRows()) {
    if (name == "unigram" || name == "bpe_trimmed") continue;  // Which have no such file.
    const std::string file = Golden(name + ".gguf");
    const auto gguf = model::Gguf::Parse(AsBytes(file), name);
    ASSERT_TRUE(gguf) << gguf.error().ToString();
    const auto tokenizer = Make(TokenizerJsonOfGguf(*gguf));
    ASSERT_NE(tokenizer, nullptr);
    Check(*tokenizer, rows, name);
    const auto config = boost::json::parse(*TokenizerConfigOfGguf(*gguf));
    EXPECT_EQ(TextOf(config.at("bos_token")), "<s>");
    EXPECT_EQ(TextOf(config.at("chat_template")), "{{ bos_token }}");
  }
}

void WriteText(ByteWriter& writer, std::string_view text) {
  writer.Write<uint64_t>(text.size());
  writer.WriteBytes(AsBytes(text));
}

// Byte-level BPE of a GGUF file is that of the tokenizer.json it was made of.
TEST(GgufTokenizer, ByteLevelGivesTheVectors) {
  const auto source =
      boost::json::parse(ReadTestFile("tokenizers/bytelevel_llama3/tokenizer.json"));
  const auto& model = source.at("model");
  std::vector<std::string> tokens(2000), merges;
  std::vector<int32_t> types(2000, 1);
  for (const auto& entry : model.at("vocab").as_object()) {
    tokens[static_cast<size_t>(entry.value().as_int64())] = entry.key();
  }
  for (const auto& token : source.at("added_tokens").as_array()) {
    const auto id = static_cast<size_t>(token.at("id").as_int64());
    tokens[id] = TextOf(token.at("content"));
    types[id] = 3;
  }
  for (const auto& merge : model.at("merges").as_array()) {
    merges.push_back(TextOf(merge.at(0)) + " " + TextOf(merge.at(1)));
  }
  ByteVector file;
  ByteWriter writer(file);
  writer.WriteBytes(AsBytes("GGUF"));
  writer.Write<uint32_t>(3);
  writer.Write<uint64_t>(0);
  writer.Write<uint64_t>(6);
  const auto write_texts = [&](std::string_view key, const std::vector<std::string>& texts) {
    WriteText(writer, key);
    writer.Write<uint32_t>(9);
    writer.Write<uint32_t>(8);
    writer.Write<uint64_t>(texts.size());
    for (const std::string& text : texts) WriteText(writer, text);
  };
  for (const auto& [key, text] :
       {std::pair("tokenizer.ggml.model", "gpt2"), std::pair("tokenizer.ggml.pre", "llama-bpe")}) {
    WriteText(writer, key);
    writer.Write<uint32_t>(8);
    WriteText(writer, text);
  }
  write_texts("tokenizer.ggml.tokens", tokens);
  write_texts("tokenizer.ggml.merges", merges);
  WriteText(writer, "tokenizer.ggml.token_type");
  writer.Write<uint32_t>(9);
  writer.Write<uint32_t>(5);
  writer.Write<uint64_t>(types.size());
  for (const int32_t type : types) writer.Write(type);
  WriteText(writer, "tokenizer.ggml.bos_token_id");
  writer.Write<uint32_t>(4);
  writer.Write<uint32_t>(0);

  const auto gguf = model::Gguf::Parse(file, "made");
  ASSERT_TRUE(gguf) << gguf.error().ToString();
  const auto tokenizer = Make(TokenizerJsonOfGguf(*gguf));
  ASSERT_NE(tokenizer, nullptr);
  const auto vectors = boost::json::parse(ReadTestFile("tokenizers/bytelevel_llama3/vectors.json"));
  for (const auto& vector : vectors.as_array()) {
    const std::vector<int32_t> ids = IdsOf(vector.at("ids_no_special"));
    EXPECT_EQ(tokenizer->Encode(TextOf(vector.at("text")), false), ids);
    EXPECT_EQ(tokenizer->Decode(IdsOf(vector.at("ids")), true), TextOf(vector.at("decoded")));
  }
  EXPECT_EQ(tokenizer->Encode("", true), std::vector<int32_t>{0});
}

TEST(Convert, SaysWhatIsWrong) {
  using testing::HasSubstr;
  const auto error = [](std::string_view name, std::string_view content,
                        std::string_view config = "") {
    const auto json = TokenizerJsonOf(name, content, config);
    return json ? std::string("made") : json.error().ToString();
  };
  EXPECT_THAT(error("tiktoken.model", "IQ== 0\n!! 1\n"), HasSubstr("tiktoken.model:2"));
  EXPECT_THAT(error("tiktoken.model", "IQ== 0\nIg== 0\n"), HasSubstr(":2: a token or a rank"));
  EXPECT_THAT(error("tiktoken.model", "IQ== 0\nIg== -1\n"), HasSubstr(":2"));
  EXPECT_THAT(error("tiktoken.model", "IQ== 0\n"), HasSubstr("not every byte"));
  EXPECT_THAT(error("vocab.txt", "IQ== 0\n"), HasSubstr("not a tokenizer file"));
  EXPECT_THAT(error("tokenizer.model", "\x0A\xFF\xFF"), HasSubstr("not a SentencePiece model"));
  // A piece's text as a number.
  EXPECT_THAT(error("tokenizer.model", "\x0A\x02\x08\x05"), HasSubstr("a piece is empty"));
  EXPECT_THAT(error("tokenizer.model", Golden("bpe.model"),
                    R"({"added_tokens_decoder": {"x": {"content": "y"}}})"),
              HasSubstr("expected an id"));
  const std::string model = Golden("bpe.model");
  for (size_t size = 0; size < 3000; size += 7) {
    const std::string part = error("tokenizer.model", std::string_view(model).substr(0, size));
    EXPECT_TRUE(part == "made" || part.contains("tokenizer.model")) << part;
  }
}

}  // namespace
}  // namespace shoal::tokenizer
