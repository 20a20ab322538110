// Jinja's filters (value | name(arguments)) and tests (value is name(arguments)).
#pragma once

#include <string_view>

#include "base/result.h"
#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"

namespace shoal::tokenizer::jinja {

// kUnimplemented for a filter or test that there is none of.
Result<Value> ApplyFilter(Runtime& runtime, std::string_view name, const Value& input,
                          const Arguments& arguments);
Result<bool> ApplyTest(Runtime& runtime, std::string_view name, const Value& input,
                       const Arguments& arguments);

}  // namespace shoal::tokenizer::jinja
