// The methods of each type, by name.
#pragma once

#include "base/result.h"
#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer::jinja {

using Method = Result<Value> (*)(Runtime& runtime, const Value& self, const Arguments& arguments);
using MethodTable = TextMap<Method>;

const MethodTable& StringMethods();
const MethodTable& DictMethods();
const MethodTable& ListMethods();
const MethodTable& TupleMethods();

}  // namespace shoal::tokenizer::jinja
