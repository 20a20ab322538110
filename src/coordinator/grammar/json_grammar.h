// JSON Schema (a part of draft 2020-12) -> the grammar of JSON texts that fulfil it.
//
// Every text of the grammar is valid JSON, valid UTF-8, and valid under the schema. Not every valid
// text is in the grammar: properties come in the schema's order, none beyond those it names (where
// it names any), numbers have at most 15 digits, and there is little white space.
//
// Keywords: type (one or a list), enum, const, anyOf, allOf of one, properties, required,
// additionalProperties, items, minItems, maxItems, minLength, maxLength, minimum, maximum,
// exclusiveMinimum, exclusiveMaximum, $ref to "#" and "#/$defs/...", $defs, definitions.
// Annotations (title, description, default, examples, ...) mean nothing here. kUnimplemented for
// every other keyword, rather than texts that do not fulfil it.
#pragma once

#include <boost/json/value.hpp>

#include "base/result.h"
#include "coordinator/grammar/grammar.h"

namespace shoal::grammar {

// kInvalidArgument for what is no schema, kResourceExhausted for one that is too large; errors say
// where ("properties.name.type").
Result<Grammar> GrammarOfSchema(const boost::json::value& schema);

// Any JSON object.
Grammar GrammarOfAnyObject();

}  // namespace shoal::grammar
