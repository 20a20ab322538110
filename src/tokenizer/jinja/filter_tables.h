// The filters by name, in two parts: those that make texts and numbers of one value, and those that
// go through the items of one.
#pragma once

#include "base/result.h"
#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer::jinja {

using FilterFunction = Result<Value> (*)(Runtime& runtime, const Value& input,
                                         const Arguments& arguments);
using FilterTable = TextMap<FilterFunction>;

const FilterTable& ValueFilters();
const FilterTable& SequenceFilters();

}  // namespace shoal::tokenizer::jinja
