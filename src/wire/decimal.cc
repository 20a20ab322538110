// Printing is the shortest-digits algorithm of Steele and White, "How to print floating-point
// numbers accurately" (PLDI 1990), in the form of Burger and Dybvig (PLDI 1996); reading divides
// exactly. Both use big integers and no tables: frames hold few floats, and the code is small.

#include "wire/decimal.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/check.h"
#include "wire/big_integer.h"

namespace shoal::wire {
namespace {

// A number is mantissa * 2^exponent; the format's smallest exponent and mantissa width say how far
// its neighbours are.
struct Binary {
  uint64_t mantissa;
  int exponent;
  bool lower_is_closer;  // The neighbour below is at half the distance of the one above.
};

// 0.d1 d2 d3... * 10^point
struct Decimal {
  std::string digits;
  int point = 0;
};

Binary Split(double value) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const int field = static_cast<int>(bits >> 52 & 0x7ff);
  const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
  if (field == 0) return {fraction, -1074, false};
  return {fraction | uint64_t{1} << 52, field - 1075, fraction == 0 && field > 1};
}

Binary Split(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const int field = static_cast<int>(bits >> 23 & 0xff);
  const uint32_t fraction = bits & ((1u << 23) - 1);
  if (field == 0) return {fraction, -149, false};
  return {fraction | 1u << 23, field - 150, fraction == 0 && field > 1};
}

// The number is r / s, half the distance to its neighbours m_plus / s above and m_minus / s below.
struct Ratio {
  BigInteger r;
  BigInteger s;
  BigInteger m_plus;
  BigInteger m_minus;
  bool even;  // Ties round to this number: the ends of its interval belong to it.

  bool BelowLow() const {
    const int order = BigInteger::Compare(r, m_minus);
    return order < 0 || (even && order == 0);
  }
  bool AboveHigh() const {
    const int order = BigInteger::CompareSum(r, m_plus, s);
    return order > 0 || (even && order == 0);
  }
  void TimesTen() {
    r.Multiply(10);
    m_plus.Multiply(10);
    m_minus.Multiply(10);
  }
};

Decimal ShortestDigits(const Binary& number) {
  Ratio ratio{.r = BigInteger(number.mantissa),
              .s = BigInteger(1),
              .m_plus = BigInteger(1),
              .m_minus = BigInteger(1),
              .even = number.mantissa % 2 == 0};
  const int up = number.exponent > 0 ? number.exponent : 0;
  const int down = number.exponent < 0 ? -number.exponent : 0;
  const int closer = number.lower_is_closer ? 1 : 0;
  ratio.r.ShiftLeft(up + 1 + closer);
  ratio.s.ShiftLeft(down + 1 + closer);
  ratio.m_plus.ShiftLeft(up + closer);
  ratio.m_minus.ShiftLeft(up);

  Decimal out;
  const int log2_floor = number.exponent + std::bit_width(number.mantissa) - 1;
  out.point = static_cast<int>(std::ceil(log2_floor * 0.30102999566398120 - 1e-10));
  if (out.point >= 0) {
    ratio.s.MultiplyPowerOf10(out.point);
  } else {
    ratio.r.MultiplyPowerOf10(-out.point);
    ratio.m_plus.MultiplyPowerOf10(-out.point);
    ratio.m_minus.MultiplyPowerOf10(-out.point);
  }
  if (ratio.AboveHigh()) {
    ++out.point;  // The estimate is at most one too small.
  } else {
    ratio.TimesTen();
  }
  while (true) {
    int digit = 0;
    while (BigInteger::Compare(ratio.r, ratio.s) >= 0) {
      ratio.r.Subtract(ratio.s);
      ++digit;
    }
    CHECK(digit <= 9);
    const bool low = ratio.BelowLow();
    const bool high = ratio.AboveHigh();
    if (low || high) {
      const bool nearer_above = BigInteger::CompareSum(ratio.r, ratio.r, ratio.s) >= 0;
      if (high && (!low || nearer_above)) ++digit;
      out.digits += static_cast<char>('0' + digit);
      return out;
    }
    out.digits += static_cast<char>('0' + digit);
    ratio.TimesTen();
  }
}

// ECMA-262, Number::toString: plain between 1e-7 and 1e21, else with an exponent.
std::string Layout(bool negative, const Decimal& decimal) {
  const std::string& digits = decimal.digits;
  const int count = static_cast<int>(digits.size());
  const int point = decimal.point;
  std::string out = negative ? "-" : "";
  if (point > 21 || point <= -6) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    const int exponent = point - 1;
    out += exponent < 0 ? "e-" : "e+";
    return out + std::to_string(exponent < 0 ? -exponent : exponent);
  }
  if (point <= 0) return out + "0." + std::string(static_cast<size_t>(-point), '0') + digits;
  if (point >= count) return out + digits + std::string(static_cast<size_t>(point - count), '0');
  const auto whole = static_cast<size_t>(point);
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

template <typename Float>
std::string Print(Float value) {
  CHECK(std::isfinite(value));
  const bool negative = std::signbit(value);
  if (value == 0) return negative ? "-0" : "0";
  return Layout(negative, ShortestDigits(Split(negative ? -value : value)));
}

// JSON's grammar: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
struct ParsedNumber {
  bool negative = false;
  uint64_t digits = 0;  // The number is digits * 10^exponent.
  int exponent = 0;
};

class NumberParser {
 public:
  explicit NumberParser(std::string_view text) : text_(text) {}

  std::optional<ParsedNumber> Parse() {
    number_.negative = Consume('-');
    if (!Consume('0') && !Digits(false)) return std::nullopt;
    if (Consume('.') && !Digits(true)) return std::nullopt;
    if ((Consume('e') || Consume('E')) && !Exponent()) return std::nullopt;
    if (at_ != text_.size() || significant_ > kDecimalDigitsMax) return std::nullopt;
    number_.exponent += zeros_;
    return number_;
  }

 private:
  // Far outside the range of doubles, far inside that of int.
  static constexpr int kExponentMax = 1'000'000;

  bool Consume(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool AtDigit() const { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; }

  bool Digits(bool fraction) {
    if (!AtDigit()) return false;
    for (; AtDigit(); ++at_) {
      Append(static_cast<uint32_t>(text_[at_] - '0'));
      if (fraction && number_.exponent > -kExponentMax) --number_.exponent;
    }
    return true;
  }

  // Zeros count as digits only once another digit follows them.
  void Append(uint32_t digit) {
    if (digit == 0) {
      if (number_.digits != 0 && zeros_ < kExponentMax) ++zeros_;
      return;
    }
    significant_ = std::min(significant_ + zeros_ + 1, kDecimalDigitsMax + 1);
    if (significant_ > kDecimalDigitsMax) return;
    for (; zeros_ > 0; --zeros_) number_.digits *= 10;
    number_.digits = 10 * number_.digits + digit;
  }

  bool Exponent() {
    const bool negative = Consume('-');
    if (!negative) Consume('+');
    if (!AtDigit()) return false;
    int exponent = 0;
    for (; AtDigit(); ++at_) {
      if (exponent < kExponentMax) exponent = 10 * exponent + (text_[at_] - '0');
    }
    number_.exponent += negative ? -exponent : exponent;
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  int significant_ = 0;
  int zeros_ = 0;  // Read since the last other digit.
  ParsedNumber number_;
};

// mantissa * 2^exponent with the bits below cut off, `sticky` if any of those was one. Rounded to
// nearest, ties to even; nothing when it is too large.
std::optional<double> Round(uint64_t mantissa, int exponent, bool sticky) {
  const int width = std::bit_width(mantissa);
  int drop = width - 53;
  if (exponent + drop < -1074) drop = -1074 - exponent;  // Subnormal: fewer bits are kept.
  if (drop > 0) {
    if (drop > 64) return 0.0;
    const uint64_t kept = drop == 64 ? 0 : mantissa >> drop;
    const uint64_t half = uint64_t{1} << (drop - 1);
    const uint64_t rest = drop == 64 ? mantissa : mantissa & ((half << 1) - 1);
    const bool up = rest > half || (rest == half && (sticky || kept % 2 == 1));
    mantissa = kept + (up ? 1 : 0);
    exponent += drop;
  }
  if (mantissa == 0) return 0.0;
  const int shift = std::bit_width(mantissa) - 53;  // After rounding up: one bit more, a zero.
  if (shift > 0) {
    mantissa >>= shift;
    exponent += shift;
  }
  if (exponent + static_cast<int>(std::bit_width(mantissa)) > 1024) return std::nullopt;
  // Exact: the mantissa has at most 53 bits, and the result is a double.
  return std::ldexp(static_cast<double>(mantissa), exponent);
}

// numerator * 10^exponent / 1, or over 10^-exponent: 64 or more bits of quotient, then a remainder.
std::optional<double> Divide(uint64_t digits, int exponent) {
  BigInteger numerator(digits);
  BigInteger denominator(1);
  if (exponent >= 0) {
    numerator.MultiplyPowerOf10(exponent);
  } else {
    denominator.MultiplyPowerOf10(-exponent);
  }
  // Scaled by powers of two so that 2^63 <= quotient < 2^65, of which 64 bits are produced.
  const int scale = 64 - (numerator.BitLength() - denominator.BitLength());
  if (scale > 0) {
    numerator.ShiftLeft(scale);
  } else {
    denominator.ShiftLeft(-scale);
  }
  uint64_t quotient = 0;
  denominator.ShiftLeft(64);
  bool top = BigInteger::Compare(numerator, denominator) >= 0;
  if (top) numerator.Subtract(denominator);
  for (int bit = 63; bit >= 0; --bit) {
    numerator.ShiftLeft(1);
    quotient <<= 1;
    if (BigInteger::Compare(numerator, denominator) >= 0) {
      numerator.Subtract(denominator);
      quotient |= 1;
    }
  }
  bool sticky = !numerator.IsZero();
  int shift = -scale;
  if (top) {
    sticky = sticky || quotient % 2 == 1;
    quotient = quotient >> 1 | uint64_t{1} << 63;
    ++shift;
  }
  return Round(quotient, shift, sticky);
}

}  // namespace

std::string DoubleToDecimal(double value) { return Print(value); }

std::string FloatToDecimal(float value) {
  std::string text = Print(value);
  const std::optional<double> read = DecimalToDouble(text);
  if (read && static_cast<float>(*read) == value) return text;
  return Print(static_cast<double>(value));
}

std::optional<double> DecimalToDouble(std::string_view text) {
  const std::optional<ParsedNumber> number = NumberParser(text).Parse();
  if (!number) return std::nullopt;
  const double zero = number->negative ? -0.0 : 0.0;
  if (number->digits == 0) return zero;
  // digits is in [1, 10^19): outside these exponents it is infinite, or under half the smallest.
  if (number->exponent > 309) return std::nullopt;
  if (number->exponent < -343) return zero;
  const std::optional<double> magnitude = Divide(number->digits, number->exponent);
  if (!magnitude) return std::nullopt;
  return number->negative ? -*magnitude : *magnitude;
}

}  // namespace shoal::wire
