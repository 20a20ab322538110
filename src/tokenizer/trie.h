// A static byte trie: which of a fixed set of keys begin at the front of a text.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace shoal::tokenizer {

// Immutable once built and safe to share between threads. Memory: about 9 bytes for every distinct
// prefix of the keys.
class Trie {
 public:
  Trie() = default;
  // Empty keys are ignored; of equal keys the first counts. Values are >= 0.
  explicit Trie(const std::vector<std::pair<std::string_view, int32_t>>& entries);

  // Calls visit(size, value) for every key that is a prefix of `text`, the shortest first.
  template <typename Visitor>
  void ForEachPrefix(std::string_view text, const Visitor& visit) const {
    uint32_t node = 0;
    for (size_t size = 0; size < text.size(); ++size) {
      if (!Step(static_cast<uint8_t>(text[size]), node)) return;
      if (values_[node] >= 0) visit(size + 1, values_[node]);
    }
  }

  struct Match {
    size_t size = 0;
    int32_t value = -1;  // -1: no key is a prefix.
  };
  Match LongestPrefix(std::string_view text) const {
    Match longest;
    ForEachPrefix(text, [&](size_t size, int32_t value) { longest = {size, value}; });
    return longest;
  }

 private:
  // Moves `node` to its child for `byte`; false when it has none.
  bool Step(uint8_t byte, uint32_t& node) const;

  // Node 0 is the root. The children of node n are first_child_[n] .. first_child_[n + 1], in the
  // order of their bytes.
  std::vector<uint32_t> first_child_ = {1, 1};
  std::vector<uint8_t> byte_ = {0};
  std::vector<int32_t> values_ = {-1};
};

}  // namespace shoal::tokenizer
