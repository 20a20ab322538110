#include "links/quantities.h"

#include <charconv>
#include <optional>
#include <string>

#include "base/str_cat.h"

namespace shoal::links {

namespace {

constexpr double kHour = 3600.0 * kSecond;
constexpr double kRateMax = 1e12;

// A plain decimal number and what follows it; nullopt when it does not begin with one.
std::optional<std::pair<double, std::string_view>> ReadNumber(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  if (text.empty() || text[0] == '-') return std::nullopt;
  const auto [stop, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc() || !(value >= 0 && value <= 1e15)) return std::nullopt;
  return std::pair(value, std::string_view(stop, static_cast<size_t>(end - stop)));
}

std::unexpected<Error> Bad(std::string_view text, std::string_view what) {
  return Fail(Code::kInvalidArgument, StrCat("\"", text, "\" is no ", what));
}

}  // namespace

Result<Micros> ParseDuration(std::string_view text) {
  const auto bad = [&] { return Bad(text, "time; write it like 300us, 20ms or 1.5s"); };
  const auto number = ReadNumber(text);
  if (!number) return bad();
  const auto [value, unit] = *number;
  double micros = 0;
  if (unit == "us") {
    micros = value;
  } else if (unit == "ms") {
    micros = value * kMillisecond;
  } else if (unit == "s") {
    micros = value * kSecond;
  } else if (!unit.empty() || value != 0) {
    return bad();
  }
  if (micros > kHour) return Fail(Code::kInvalidArgument, StrCat(text, " is more than an hour"));
  return static_cast<Micros>(micros + 0.5);
}

Result<double> ParseRate(std::string_view text) {
  const auto bad = [&] {
    return Bad(text, "rate; write it in bits a second, like 64K, 20M or 1G");
  };
  const auto number = ReadNumber(text);
  if (!number) return bad();
  const auto [value, unit] = *number;
  if (unit.empty() && value == 0) return 0.0;
  double scale = 0;
  if (unit == "K" || unit == "k") scale = 1e3;
  if (unit == "M" || unit == "m") scale = 1e6;
  if (unit == "G" || unit == "g") scale = 1e9;
  const double bits = value * scale;
  if (scale == 0 || bits < 1000 || bits > kRateMax) return bad();
  return bits / 8;
}

Result<double> ParseShare(std::string_view text) {
  const auto bad = [&] { return Bad(text, "share; write it like 0.5% or 0.005, below 100%"); };
  const auto number = ReadNumber(text);
  if (!number || (number->second != "%" && !number->second.empty())) return bad();
  const double share = number->second == "%" ? number->first / 100 : number->first;
  if (share >= 1) return bad();
  return share;
}

std::pair<std::string_view, std::string_view> SplitWays(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {text, text};
  return {text.substr(0, slash), text.substr(slash + 1)};
}

}  // namespace shoal::links
