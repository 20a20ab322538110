// What the room's tests read.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

#include "tokenizer/tokenizer.h"

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

}  // namespace shoal::tokenizer
