// Python's operators between values. kFailedPrecondition for types that they are not defined for.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"

namespace shoal::tokenizer::jinja {

// Every operator but `and` and `or`, which do not always look at their right side.
Result<Value> Apply(Runtime& runtime, BinaryOperator op, const Value& a, const Value& b);
Result<bool> Apply(Runtime& runtime, CompareOperator op, const Value& a, const Value& b);
Result<Value> Apply(UnaryOperator op, const Value& value);

// Whether `container` holds `item`.
Result<bool> Contains(const Value& container, const Value& item);

// object[index] and object.name; undefined where there is none.
Result<Value> ItemOf(Runtime& runtime, const Value& object, const Value& index);
Result<Value> AttributeOf(Runtime& runtime, const Value& object, std::string_view name);
// object["a.b.0"] as the filters' `attribute` has it.
Result<Value> PathOf(Runtime& runtime, const Value& object, const Value& path);
// object[start:stop:step]; each may be none.
Result<Value> SliceOf(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                      const Value& step);

// len(); 0 for an undefined value.
Result<size_t> LengthOf(const Value& value);

}  // namespace shoal::tokenizer::jinja
