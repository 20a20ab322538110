// The tools of a request, and the calls in its conversation.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "coordinator/api/fields.h"
#include "coordinator/api/model_facts.h"
#include "coordinator/api/parse_request.h"

namespace shoal::api {

inline constexpr size_t kMaxTools = 128;
inline constexpr size_t kMaxToolNameBytes = 64;

// `tools`, `tool_choice` and `parallel_tool_calls`. Refused where the model's template knows no
// tools.
void ReadTools(Fields& fields, const ModelFacts& model, CompletionRequest& out);

// `tool_calls` of a message: the arguments, a string of JSON, become the object that templates
// expect. False, and an error that names `name`, when something in them is wrong.
bool ReadMessageCalls(Fields& fields, const std::string& name, boost::json::object& message);

// For templates that want the arguments as the string they came as.
boost::json::array WithArgumentsAsText(const boost::json::array& messages);

}  // namespace shoal::api
