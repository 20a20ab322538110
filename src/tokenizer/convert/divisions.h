// How byte-level tokenizers divide a text before they merge bytes, by name.
#pragma once

#include <boost/json/value.hpp>
#include <optional>
#include <string_view>

namespace shoal::tokenizer {

// tokenizer.json's pre_tokenizer for one of these names, which are those of `tokenizer.ggml.pre` in
// GGUF files, among them "gpt-2", "llama-bpe", "qwen2", "gpt-4o", "deepseek-v3", "kimi-k2";
// "cl100k" is OpenAI's. Nothing for an unknown name.
std::optional<boost::json::value> DivisionJson(std::string_view name);

}  // namespace shoal::tokenizer
