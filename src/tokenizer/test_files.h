// What the room's tests read, and how.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <charconv>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace shoal::tokenizer {

inline std::string ReadTestFile(const std::string& path) {
  std::ifstream file(std::string(SHOAL_SOURCE_DIR) + "/tests/golden/" + path, std::ios::binary);
  EXPECT_TRUE(file) << "cannot read tests/golden/" << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::unique_ptr<Tokenizer> LoadTestTokenizer(const std::string& kind) {
  Result<std::unique_ptr<Tokenizer>> tokenizer =
      Tokenizer::Load(ReadTestFile("tokenizers/" + kind + "/tokenizer.json"));
  EXPECT_TRUE(tokenizer) << tokenizer.error().ToString();
  return tokenizer ? *std::move(tokenizer) : nullptr;
}

inline std::string TextOf(const boost::json::value& value) {
  return std::string(value.as_string().data(), value.as_string().size());
}

inline std::vector<int32_t> IdsOf(const boost::json::value& list) {
  std::vector<int32_t> ids;
  for (const auto& id : list.as_array()) ids.push_back(static_cast<int32_t>(id.as_int64()));
  return ids;
}

// "1,2,3"
inline std::vector<int32_t> ParseIds(std::string_view text) {
  std::vector<int32_t> ids;
  while (!text.empty()) {
    int32_t id = 0;
    const char* const stop = std::from_chars(text.data(), text.data() + text.size(), id).ptr;
    ids.push_back(id);
    text.remove_prefix(static_cast<size_t>(stop - text.data()));
    if (!text.empty()) text.remove_prefix(1);
  }
  return ids;
}

// The text of the ids, as it comes one by one: always whole characters.
inline std::string Stream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                          bool skip_special) {
  StreamDecoder decoder(tokenizer, skip_special);
  std::string text;
  for (const int32_t id : ids) {
    const std::string part = decoder.Push(id);
    EXPECT_TRUE(IsValidUtf8(part));
    text += part;
  }
  const std::string rest = decoder.Flush();
  EXPECT_TRUE(IsValidUtf8(rest));
  return text + rest;
}

}  // namespace shoal::tokenizer
