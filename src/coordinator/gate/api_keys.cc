#include "coordinator/gate/api_keys.h"

#include <algorithm>
#include <utility>

#include "base/str_cat.h"
#include "net/headers.h"

namespace shoal {
namespace {

constexpr size_t kMaxKeyBytes = 512;
constexpr size_t kMaxNameBytes = 64;
constexpr std::string_view kBlanks = " \t\r";

bool IsVisible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

Status ApiKeys::Add(std::string name, std::string_view key) {
  if (key.empty() || key.size() > kMaxKeyBytes || !IsVisible(key)) {
    return Fail(Code::kInvalidArgument, StrCat("an API key has 1 to ", kMaxKeyBytes,
                                               " visible ASCII characters and no blanks"));
  }
  if (name.empty()) name = StrCat("key-", keys_.size() + 1);
  if (name.size() > kMaxNameBytes || !IsVisible(name)) {
    return Fail(Code::kInvalidArgument, StrCat("an API key's name has at most ", kMaxNameBytes,
                                               " visible ASCII characters and no blanks"));
  }
  if (std::ranges::any_of(keys_, [&](const Key& other) { return other.name == name; })) {
    return Fail(Code::kInvalidArgument, StrCat("there are two API keys of the name ", name));
  }
  keys_.push_back({std::move(name), Secret(key)});
  return {};
}

Status ApiKeys::AddLines(std::string_view text) {
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    line = Trimmed(line);
    if (line.empty() || line.starts_with('#')) continue;
    const size_t blank = line.find_first_of(kBlanks);
    const bool has_name = blank != std::string_view::npos;
    std::string name(has_name ? line.substr(0, blank) : std::string_view());
    const Status added = Add(std::move(name), Trimmed(has_name ? line.substr(blank) : line));
    if (!added) return FailWithContext(added.error(), StrCat("line ", number));
  }
  return {};
}

std::optional<std::string> ApiKeys::Find(std::string_view authorization) const {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() < kScheme.size() ||
      !net::EqualsIgnoreCase(authorization.substr(0, kScheme.size()), kScheme)) {
    return std::nullopt;
  }
  const std::string_view presented = Trimmed(authorization.substr(kScheme.size()));
  // Every key is compared: how long it takes does not tell which one, or whether any, is right.
  std::optional<std::string> found;
  for (const Key& key : keys_) {
    if (key.secret.Matches(presented)) found = key.name;
  }
  return found;
}

}  // namespace shoal
