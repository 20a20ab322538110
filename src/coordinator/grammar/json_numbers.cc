#include "coordinator/grammar/json_numbers.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

namespace shoal::grammar {
namespace {

using Rule = Grammar::Rule;
using Sequence = Grammar::Sequence;

// As many as a double holds exactly.
constexpr int64_t kWholeMax = 999'999'999'999'999;

constexpr size_t kFractionDigits = 6;
constexpr int64_t kScale = 1'000'000;
constexpr int64_t kScaledMax = kScale * kScale * kScale - 1;

// Multiples of a unit; none where first > last.
struct Range {
  int64_t first = 0;
  int64_t last = -1;
  bool is_empty() const { return first > last; }
};

// A bound in units of 1 / `scale`; whole where the decimal number that was meant is.
double Scaled(double bound, int64_t scale) {
  const double scaled = bound * static_cast<double>(scale);
  const double whole = std::round(scaled);
  const double tolerance = 2 * std::numeric_limits<double>::epsilon() * std::abs(scaled);
  return std::abs(scaled - whole) <= tolerance ? whole : scaled;
}

// The multiples of 1 / `scale` within `bounds`, none of them above `limit`.
Range MultiplesWithin(const Bounds& bounds, int64_t scale, int64_t limit) {
  const double least = Scaled(bounds.least, scale);
  const double most = Scaled(bounds.most, scale);
  const auto clamped = [&](double at, int64_t lowest, int64_t highest) {
    if (at <= static_cast<double>(lowest)) return lowest;
    return at >= static_cast<double>(highest) ? highest : static_cast<int64_t>(at);
  };
  int64_t first = clamped(std::ceil(least), -limit, limit + 1);
  int64_t last = clamped(std::floor(most), -limit - 1, limit);
  if (bounds.excludes_least && static_cast<double>(first) == least) ++first;
  if (bounds.excludes_most && static_cast<double>(last) == most) --last;
  return {first, last};
}

bool IsAll(const std::string& digits, char digit) {
  return digits.find_first_not_of(digit) == std::string::npos;
}

// Adds to `rule` what may come where texts of digits from `first` to `last`, of one length, go on:
// `rest` of what is left of both behind each digit.
template <typename Rest>
void AddDigitThen(Grammar& grammar, Rule rule, const std::string& first, const std::string& last,
                  const Rest& rest) {
  const std::string lowest(first.size() - 1, '0');
  const std::string highest(first.size() - 1, '9');
  const std::string first_rest = first.substr(1);
  const std::string last_rest = last.substr(1);
  const auto add = [&](char from, char to, const std::string& least, const std::string& most) {
    const auto digits = ByteRange(static_cast<uint8_t>(from), static_cast<uint8_t>(to));
    grammar.AddAlternative(rule, {grammar.Bytes(digits), Grammar::Ref(rest(least, most))});
  };
  char from = first[0];
  char to = last[0];
  if (from == to) return add(from, to, first_rest, last_rest);
  if (!IsAll(first_rest, '0')) add(from++, first[0], first_rest, highest);
  if (!IsAll(last_rest, '9')) add(to--, last[0], lowest, last_rest);
  if (from <= to) add(from, to, lowest, highest);
}

class Numbers {
 public:
  Numbers(Grammar& grammar, bool is_whole) : grammar_(grammar), is_whole_(is_whole) {}

  // Of `range`, in units of one, or of the last digit behind the point.
  Rule All(const Range& range) {
    const Rule rule = grammar_.NewRule();
    AddMagnitudes(rule, {}, {std::max<int64_t>(range.first, 0), range.last});
    AddMagnitudes(rule, grammar_.Literal("-"), {std::max<int64_t>(-range.last, 1), -range.first});
    return rule;
  }

 private:
  void AddMagnitudes(Rule rule, const Sequence& sign, const Range& range) {
    if (range.is_empty()) return;
    if (is_whole_) return AddWhole(rule, sign, range, {});
    const Range whole = {range.first / kScale, range.last / kScale};
    const std::string first = Padded(range.first % kScale);
    const std::string last = Padded(range.last % kScale);
    const std::string lowest(kFractionDigits, '0');
    const std::string highest(kFractionDigits, '9');
    const auto add = [&](const Range& before, const std::string& least, const std::string& most) {
      if (!before.is_empty()) AddWhole(rule, sign, before, {Grammar::Ref(Fraction(least, most))});
    };
    if (whole.first == whole.last) return add(whole, first, last);
    add({whole.first, whole.first}, first, highest);
    add({whole.first + 1, whole.last - 1}, lowest, highest);
    add({whole.last, whole.last}, lowest, last);
  }

  static std::string Padded(int64_t fraction) {
    const std::string digits = std::to_string(fraction);
    return std::string(kFractionDigits - digits.size(), '0') + digits;
  }

  // One alternative for each number of digits.
  void AddWhole(Rule rule, const Sequence& begin, const Range& range, const Sequence& end) {
    const size_t shortest = std::to_string(range.first).size();
    const size_t longest = std::to_string(range.last).size();
    for (size_t size = shortest; size <= longest; ++size) {
      std::string first = size == 1 ? "0" : "1" + std::string(size - 1, '0');
      std::string last(size, '9');
      if (size == shortest) first = std::to_string(range.first);
      if (size == longest) last = std::to_string(range.last);
      Sequence text = begin;
      text.push_back(Grammar::Ref(Digits(first, last)));
      text.insert(text.end(), end.begin(), end.end());
      grammar_.AddAlternative(rule, text);
    }
  }

  Rule Digits(const std::string& first, const std::string& last) {
    const Rule rule = grammar_.NewRule();
    if (first.empty()) {
      grammar_.AddAlternative(rule, {});
      return rule;
    }
    AddDigitThen(grammar_, rule, first, last,
                 [&](const auto& least, const auto& most) { return Digits(least, most); });
    return rule;
  }

  // Nothing, or a point and digits.
  Rule Fraction(const std::string& first, const std::string& last) {
    const Rule digits = grammar_.NewRule();
    AddFractionDigits(digits, first, last);
    const Rule rule = grammar_.NewRule({{grammar_.Literal(".")[0], Grammar::Ref(digits)}});
    if (IsAll(first, '0')) grammar_.AddAlternative(rule, {});
    return rule;
  }

  // At least one digit; where the text ends, zeros are meant.
  void AddFractionDigits(Rule rule, const std::string& first, const std::string& last) {
    AddDigitThen(grammar_, rule, first, last, [&](const auto& least, const auto& most) {
      const Rule rest = grammar_.NewRule();
      if (IsAll(least, '0')) grammar_.AddAlternative(rest, {});
      if (!least.empty()) AddFractionDigits(rest, least, most);
      return rest;
    });
  }

  Grammar& grammar_;
  const bool is_whole_;
};

Result<Rule> Within(const Bounds& bounds, bool is_whole, Grammar& grammar) {
  const Range range = is_whole ? MultiplesWithin(bounds, 1, kWholeMax)
                               : MultiplesWithin(bounds, kScale, kScaledMax);
  if (range.is_empty()) {
    return Fail(Code::kInvalidArgument, "leaves no number between its bounds");
  }
  return Numbers(grammar, is_whole).All(range);
}

}  // namespace

Result<Rule> WholeWithin(const Bounds& bounds, Grammar& grammar) {
  return Within(bounds, true, grammar);
}

Result<Rule> NumberWithin(const Bounds& bounds, Grammar& grammar) {
  return Within(bounds, false, grammar);
}

}  // namespace shoal::grammar
