// POST /v1/responses, the part of it that is a conversation with one answer: read as the chat
// request that it comes to.
//
// Nothing is kept between requests, so that what would need it (previous_response_id, conversation,
// background) is refused, and `store` is always false.
#pragma once

#include <boost/json/object.hpp>
#include <expected>
#include <string_view>

#include "coordinator/api/errors.h"
#include "coordinator/api/model_facts.h"
#include "coordinator/api/parse_request.h"

namespace shoal::api {

// Errors name the fields of this body. `echo` gets what an answer repeats of its request:
// instructions, tools, temperature, ...
std::expected<CompletionRequest, ApiError> ParseResponsesRequest(std::string_view body,
                                                                 const ModelFacts& model,
                                                                 boost::json::object& echo);

// What is said about the chat request, in the words of the one that was sent.
ApiError AsResponsesError(ApiError error);

}  // namespace shoal::api
