// The methods of Python's str, dict, list and tuple that templates call.
#pragma once

#include <string_view>

#include "base/result.h"
#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"

namespace shoal::tokenizer::jinja {

bool HasMethod(const Value& value, std::string_view name);
// value.name(arguments); HasMethod is true. Lists and dicts may be changed in place, which
// transformers' sandbox forbids and other runtimes of chat templates allow.
Result<Value> CallMethod(Runtime& runtime, const Value& value, std::string_view name,
                         const Arguments& arguments);
// value.name as a value that can be called later.
Result<Value> MethodOf(Runtime& runtime, const Value& value, std::string_view name);

}  // namespace shoal::tokenizer::jinja
