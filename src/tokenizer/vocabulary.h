// Tokens and their ids, both ways.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoal::tokenizer {

// Hash and equality for maps from std::string that are searched with std::string_view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename T>
using TextMap = boost::unordered_flat_map<std::string, T, TextHash, std::equal_to<>>;

// Ids lie in [0, kMaxTokens); there may be gaps between them.
inline constexpr int32_t kMaxTokens = 1 << 22;

class Vocabulary {
 public:
  // A token that comes twice gets the later id; an id given twice keeps both tokens and stands for
  // the first. kInvalidArgument when `id` is out of range.
  Status Add(std::string_view token, int64_t id);

  std::optional<int32_t> Find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }
  // Null for an id that stands for nothing.
  const std::string* TokenOf(int32_t id) const {
    if (id < 0 || static_cast<size_t>(id) >= tokens_.size()) return nullptr;
    const auto& token = tokens_[static_cast<size_t>(id)];
    return token ? &*token : nullptr;
  }
  // One more than the largest id.
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }

 private:
  TextMap<int32_t> ids_;
  std::vector<std::optional<std::string>> tokens_;
};

}  // namespace shoal::tokenizer
