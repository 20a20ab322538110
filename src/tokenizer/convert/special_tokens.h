// What a tokenizer_config.json says of a vocabulary that lies in a file of another kind.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace shoal::tokenizer {

struct TokenizerConfig {
  std::string tokenizer_class;
  std::map<int32_t, boost::json::object> added;  // added_tokens_decoder, by id.
  std::optional<std::string> bos, eos;           // Tokens' texts.
  std::optional<bool> add_bos, add_eos;
  bool legacy = true;
};
// An empty text gives the defaults.
Result<TokenizerConfig> ReadTokenizerConfig(std::string_view json);

// An entry of tokenizer.json's added_tokens.
boost::json::object AddedTokenJson(int32_t id, std::string_view content, bool special);
// Puts the configuration's tokens over those of the vocabulary.
boost::json::array WithConfigured(std::map<int32_t, boost::json::object> tokens,
                                  const TokenizerConfig& config);

// tokenizer.json's post_processor: a text between these tokens; null without either.
struct EndToken {
  std::string content;
  int32_t id = 0;
};
boost::json::value PostProcessorJson(const std::optional<EndToken>& first,
                                     const std::optional<EndToken>& last);

}  // namespace shoal::tokenizer
