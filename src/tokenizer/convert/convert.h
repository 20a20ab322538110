// A tokenizer.json for checkpoints that have none: made of the files that stand for it, or of a
// GGUF file's metadata. Everything after it reads tokenizer.json alone.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/gguf.h"

namespace shoal::tokenizer {

// Names of the files that are read, in the order in which they are looked for: tiktoken.model (Kimi
// K2), tokenizer.model (SentencePiece, or Llama 3's, which is of tiktoken's kind), qwen.tiktoken,
// o200k_base.tiktoken, cl100k_base.tiktoken.
std::span<const std::string_view> TokenizerModelFiles();

// `name` is one of those, `content` the file; `tokenizer_config_json` (empty when there is none)
// says which tokens are special, and whether a text begins and ends with one. kInvalidArgument
// names what cannot be right, kUnimplemented what is not supported.
Result<std::string> TokenizerJsonOf(std::string_view name, std::string_view content,
                                    std::string_view tokenizer_config_json);

// Of the keys tokenizer.ggml.*: models "llama" (SentencePiece BPE), "gpt2" (byte-level BPE, with
// the divisions of texts that `tokenizer.ggml.pre` names) and "t5" (Unigram).
Result<std::string> TokenizerJsonOfGguf(const model::Gguf& gguf);
// tokenizer_config.json: the chat template, and how a text begins and ends.
Result<std::string> TokenizerConfigOfGguf(const model::Gguf& gguf);

}  // namespace shoal::tokenizer
