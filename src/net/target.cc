// Request targets: the path and query parameters that a handler sees.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/str_cat.h"
#include "net/http.h"

namespace shoal::net {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum class PlusIs { kPlus, kSpace };

Result<std::string> PercentDecode(std::string_view text, PlusIs plus) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '+' && plus == PlusIs::kSpace) {
      out += ' ';
    } else if (c != '%') {
      out += c;
    } else {
      const int high = at + 2 < text.size() ? HexDigit(text[at + 1]) : -1;
      const int low = at + 2 < text.size() ? HexDigit(text[at + 2]) : -1;
      if (high < 0 || low < 0) {
        return Fail(Code::kInvalidArgument,
                    "the request target has a '%' that two hexadecimal digits do not follow");
      }
      out += static_cast<char>(high * 16 + low);
      at += 2;
    }
    if (out.back() == '\0') return Fail(Code::kInvalidArgument, "the request target has a NUL");
  }
  return out;
}

// Works on the decoded path, so that "%2e%2e" is seen for what it is.
Result<std::string> RemoveDotSegments(std::string_view path) {
  std::vector<std::string_view> segments;
  bool is_folder = false;
  while (!path.empty()) {
    path.remove_prefix(1);  // The slash.
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    path.remove_prefix(end);
    is_folder = segment.empty() || segment == "." || segment == "..";
    if (segment == "..") {
      if (segments.empty()) {
        return Fail(Code::kInvalidArgument, "the request target climbs above the root");
      }
      segments.pop_back();
    } else if (!is_folder) {
      segments.push_back(segment);
    }
  }
  std::string out;
  for (const std::string_view segment : segments) {
    out += '/';
    out += segment;
  }
  if (is_folder || out.empty()) out += '/';
  return out;
}

}  // namespace

Result<Target> ParseTarget(std::string_view target) {
  if (!target.starts_with('/')) {
    return Fail(Code::kInvalidArgument, "the request target must be a path that begins with '/'");
  }
  target = target.substr(0, target.find('#'));
  const size_t question = std::min(target.find('?'), target.size());
  Target out;
  ASSIGN_OR_RETURN(const std::string path,
                   PercentDecode(target.substr(0, question), PlusIs::kPlus));
  ASSIGN_OR_RETURN(out.path, RemoveDotSegments(path));
  std::string_view rest = target.substr(question);
  while (!rest.empty()) {
    rest.remove_prefix(1);  // '?' or '&'.
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view item = rest.substr(0, end);
    rest.remove_prefix(end);
    if (item.empty()) continue;
    const size_t equals = std::min(item.find('='), item.size());
    ASSIGN_OR_RETURN(std::string name, PercentDecode(item.substr(0, equals), PlusIs::kSpace));
    const std::string_view raw = equals < item.size() ? item.substr(equals + 1) : "";
    ASSIGN_OR_RETURN(std::string value, PercentDecode(raw, PlusIs::kSpace));
    out.query.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

std::optional<std::string_view> Request::Query(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

}  // namespace shoal::net
