#include "engine/io.h"

#include <array>
#include <utility>

namespace shoal::engine {

namespace {

// A block number as StrCat writes it: no sign, no leading zero, below a billion.
std::optional<uint32_t> ParseBlock(std::string_view text) {
  if (text.empty() || text.size() > 9 || (text[0] == '0' && text.size() > 1)) return std::nullopt;
  uint32_t block = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    block = block * 10 + static_cast<uint32_t>(c - '0');
  }
  return block;
}

std::optional<CacheName> ParseCacheName(std::string_view prefix, std::string_view name) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  CacheName cache;
  if (name.ends_with(".key")) {
    cache.is_key = true;
    name.remove_suffix(4);
  } else if (name.ends_with(".value")) {
    name.remove_suffix(6);
  } else {
    return std::nullopt;
  }
  const std::optional<uint32_t> block = ParseBlock(name);
  if (!block) return std::nullopt;
  cache.block = *block;
  return cache;
}

}  // namespace

std::optional<RowValueName> ParseRowValueName(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, RowValueKind>, 5> kPrefixes{{
      {"hidden.", RowValueKind::kHidden},
      {"residual.", RowValueKind::kResidual},
      {"routed.", RowValueKind::kRouted},
      {"routes.", RowValueKind::kRoutes},
      {"expert_sum.", RowValueKind::kExpertSum},
  }};
  for (const auto& [prefix, kind] : kPrefixes) {
    if (!name.starts_with(prefix)) continue;
    const std::optional<uint32_t> block = ParseBlock(name.substr(prefix.size()));
    if (block) return RowValueName{kind, *block};
  }
  return std::nullopt;
}

std::optional<CacheName> ParsePastName(std::string_view name) {
  return ParseCacheName("past.", name);
}

std::optional<CacheName> ParsePresentName(std::string_view name) {
  return ParseCacheName("present.", name);
}

}  // namespace shoal::engine
