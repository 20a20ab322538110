#include "coordinator/gate/origins.h"

#include <algorithm>

#include "base/str_cat.h"

namespace shoal {
namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

// Scheme and authority, nothing else.
bool IsOrigin(std::string_view text) {
  std::string_view authority;
  if (text.starts_with(kHttp)) {
    authority = text.substr(kHttp.size());
  } else if (text.starts_with(kHttps)) {
    authority = text.substr(kHttps.size());
  }
  return !authority.empty() && authority.find_first_of("/?#@* \t") == std::string_view::npos;
}

}  // namespace

Result<Origins> Origins::Parse(const std::vector<std::string>& allowed) {
  Origins out;
  for (const std::string& text : allowed) {
    if (text == "*") {
      out.any_ = true;
      continue;
    }
    std::string origin = Lower(text);
    if (origin.ends_with('/')) origin.pop_back();
    if (!IsOrigin(origin)) {
      return Fail(Code::kInvalidArgument,
                  StrCat("not an origin: \"", text,
                         "\"; write scheme, host and port, such as https://chat.example, or *"));
    }
    out.allowed_.push_back(std::move(origin));
  }
  return out;
}

Origins::Kind Origins::Judge(const net::Request& request) const {
  const auto field = request.headers.Find("Origin");
  if (!field) return Kind::kNone;
  const std::string origin = Lower(*field);
  const std::string host = Lower(request.headers.Get("Host"));
  if (!host.empty()) {
    if (origin == StrCat(kHttps, host)) return Kind::kOwn;
    if (!request.is_secure && origin == StrCat(kHttp, host)) return Kind::kOwn;
  }
  if (any_ || std::ranges::find(allowed_, origin) != allowed_.end()) return Kind::kAllowed;
  return Kind::kForeign;
}

}  // namespace shoal
