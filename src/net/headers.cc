#include "net/headers.h"

#include <algorithm>

namespace shoal::net {
namespace {

char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// "q=0", "q=0.", "q=0.000" in "gzip; q=0".
bool IsRefused(std::string_view parameters) {
  const size_t at = parameters.find("q=0");
  if (at == std::string_view::npos) return false;
  return Trim(parameters.substr(at + 3)).find_first_not_of(".0") == std::string_view::npos;
}

}  // namespace

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, LowerAscii, LowerAscii);
}

std::optional<std::string_view> Headers::Find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (EqualsIgnoreCase(field.first, name)) return field.second;
  }
  return std::nullopt;
}

bool Headers::HasToken(std::string_view name, std::string_view token) const {
  for (const Field& field : fields_) {
    if (!EqualsIgnoreCase(field.first, name)) continue;
    std::string_view rest = field.second;
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view item = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      const size_t semicolon = std::min(item.find(';'), item.size());
      if (EqualsIgnoreCase(Trim(item.substr(0, semicolon)), token) &&
          !IsRefused(item.substr(semicolon))) {
        return true;
      }
    }
  }
  return false;
}

void Headers::Set(std::string_view name, std::string_view value) {
  Remove(name);
  Add(name, value);
}

void Headers::Add(std::string_view name, std::string_view value) {
  fields_.emplace_back(name, value);
}

void Headers::Remove(std::string_view name) {
  std::erase_if(fields_, [&](const Field& field) { return EqualsIgnoreCase(field.first, name); });
}

std::string Headers::Serialize() const {
  std::string out;
  for (const auto& [name, value] : fields_) {
    out += name;
    out += ": ";
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      out += (byte < 0x20 && c != '\t') || byte == 0x7f ? ' ' : c;
    }
    out += "\r\n";
  }
  return out;
}

}  // namespace shoal::net
