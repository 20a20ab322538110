// Values from JSON and to JSON, as Python's json.dumps writes it.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "tokenizer/jinja/value.h"

namespace shoal::tokenizer::jinja {

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // One level of it; on one line when absent.
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};

// kFailedPrecondition for a value that JSON cannot express (undefined, a function, a generator),
// kResourceExhausted for one that holds itself or needs more than `max_bytes`.
Result<std::string> ToJson(const Value& value, const JsonStyle& style, size_t max_bytes);

}  // namespace shoal::tokenizer::jinja
