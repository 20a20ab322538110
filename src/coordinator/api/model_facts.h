// What the API tells of the model and checks requests against.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/api/tools.h"
#include "wire/frames.h"

namespace shoal::api {

struct ModelFacts {
  std::string id;                // "storyteller"; what `model` must name.
  int64_t created = 0;           // Seconds since 1970.
  uint32_t context_tokens = 0;   // Prompt and answer together.
  uint32_t vocab_size = 0;       // Ids are in [0, vocab_size).
  std::vector<int32_t> end_ids;  // Tokens that end an answer.
  std::string fingerprint;       // Changes when the same seed may give other text.
  // Used where a request says nothing: the checkpoint's generation configuration.
  wire::Sampling default_sampling;
  // max_tokens of a request that says nothing; 0: as much as the context holds.
  uint32_t default_max_tokens = 0;
  ToolForm tool_form = ToolForm::kNone;  // As the chat template has it.
  // More variables of the chat template: bos_token, eos_token, ...
  std::vector<std::pair<std::string, std::string>> template_variables;
};

}  // namespace shoal::api
