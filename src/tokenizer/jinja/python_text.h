// Python's operations on strings, over UTF-8. Positions count code points, as in Python.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/value.h"

namespace shoal::tokenizer::jinja {

// What str.isspace() is true for.
bool IsPythonSpace(char32_t c);
std::string_view StripLeft(std::string_view text);
std::string_view StripRight(std::string_view text);
enum class Sides : uint8_t { kLeft, kRight, kBoth };
// Without the characters of `characters` (whitespace when absent) at its ends.
std::string_view Strip(std::string_view text, std::optional<std::string_view> characters,
                       Sides sides);

// The value of a string literal, whose escapes are still there.
Result<std::string> UnescapeLiteral(std::string_view literal);

std::string Upper(std::string_view text);
std::string Lower(std::string_view text);
// The first character in upper case, the rest in lower case.
std::string Capitalize(std::string_view text);
// Every word so, where words are runs of letters.
std::string TitleCase(std::string_view text);

// At most `limit` cuts; all when negative. Without a separator: at runs of whitespace, and no empty
// parts. The separator is not empty.
std::vector<std::string_view> Split(std::string_view text,
                                    std::optional<std::string_view> separator, int64_t limit);
// The same, cutting from the right.
std::vector<std::string_view> SplitFromRight(std::string_view text,
                                             std::optional<std::string_view> separator,
                                             int64_t limit);
std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends);
// At most `limit` replacements; all when negative.
std::string ReplaceText(std::string_view text, std::string_view from, std::string_view to,
                        int64_t limit);
size_t CountText(std::string_view text, std::string_view part);

// The places start, start + step, ... that Python's slice [start:stop:step] takes from `size`
// items; absent ends are open. kFailedPrecondition when the step is 0.
Result<std::vector<size_t>> SlicePlaces(size_t size, std::optional<Integer> start,
                                        std::optional<Integer> stop, std::optional<Integer> step);

// int(text, base) and float(text); nothing for what Python refuses, and for whole numbers of more
// than 127 bits.
std::optional<Integer> ParseInteger(std::string_view text, int base);
std::optional<double> ParseFloat(std::string_view text);

// format % values. `values` is a tuple, a dict for %(name)s, or a single value.
Result<std::string> PercentFormat(Runtime& runtime, std::string_view format, const Value& values);
// str.format: {}, {0}, {name}, with !r, !s and format specifications.
Result<std::string> BraceFormat(Runtime& runtime, std::string_view format,
                                const Arguments& arguments);

}  // namespace shoal::tokenizer::jinja
