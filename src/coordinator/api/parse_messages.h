// The input of a request: a conversation, or prompts.
#pragma once

#include "coordinator/api/fields.h"
#include "coordinator/api/model_facts.h"
#include "coordinator/api/parse_request.h"

namespace shoal::api {

// `messages`: content given in parts becomes one string, its text parts joined by newlines; other
// parts (images, audio) are refused. Other fields of a message reach the template as they are.
void ReadMessages(Fields& fields, CompletionRequest& out);

// `prompt`: a string, token ids, or an array of several of either.
void ReadPrompts(Fields& fields, const ModelFacts& model, CompletionRequest& out);

}  // namespace shoal::api
