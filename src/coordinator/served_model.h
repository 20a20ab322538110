// What the coordinator takes from a pack for its API: tokenizer, chat template, and the facts that
// requests are checked against.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/api/model_facts.h"
#include "store/pack.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace shoal {

// What a chat needs of the checkpoint; both are null for a pack without a tokenizer.
struct TextSide {
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  std::optional<tokenizer::ChatTemplate> chat_template;
  api::ToolForm tool_form = api::ToolForm::kNone;  // As the chat template has it.
  // bos_token and so on, as tokenizer_config.json has them.
  std::vector<std::pair<std::string, std::string>> template_variables;
};

// A template that cannot be used is logged and left out; a tokenizer that cannot is an error.
Result<TextSide> LoadTextSide(const store::Pack& pack);

// `positions`: the context served.
api::ModelFacts DescribeModel(const store::Pack& pack, uint32_t positions, const TextSide& text,
                              int64_t created_unix_s);

}  // namespace shoal
