// Floating-point numbers as decimal text, exactly: the shortest text that reads back as the same
// number, and correctly rounded reading. The standard library's own are not in WebAssembly's
// libc++.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shoal::wire {

// As JavaScript's Number.prototype.toString prints it: "0.1", "1e-7", "123", "1.5e+300". Negative
// zero gives "-0". `value` is finite (CHECK).
std::string DoubleToDecimal(double value);
// The shortest text that gives `value` when it is read as a double and then rounded to float.
std::string FloatToDecimal(float value);

// The double nearest to a number in JSON's grammar; nothing when `text` is no such number, has
// more than kDecimalDigitsMax significant digits, or is too large for a double.
inline constexpr int kDecimalDigitsMax = 19;
std::optional<double> DecimalToDouble(std::string_view text);

}  // namespace shoal::wire
