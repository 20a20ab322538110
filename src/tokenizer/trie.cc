#include "tokenizer/trie.h"

#include <algorithm>

#include "base/check.h"

namespace shoal::tokenizer {

Trie::Trie(const std::vector<std::pair<std::string_view, int32_t>>& entries) {
  // Of equal keys the first comes first: they are told apart by where they were.
  std::vector<std::pair<std::string_view, size_t>> order;
  for (size_t i = 0; i < entries.size(); ++i) order.emplace_back(entries[i].first, i);
  std::ranges::sort(order);
  // Breadth first, so that the children of one node lie together. Node n stands for the entries
  // [begin, end), which share their first `depth` bytes.
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges = {{0, order.size(), 0}};
  first_child_.clear();
  for (size_t node = 0; node < ranges.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    first_child_.push_back(static_cast<uint32_t>(ranges.size()));
    if (begin < end && order[begin].first.size() == depth) {
      const int32_t value = entries[order[begin].second].second;
      CHECK(value >= 0);
      if (depth > 0) values_[node] = value;
      while (begin < end && order[begin].first.size() == depth) ++begin;
    }
    while (begin < end) {
      const char byte = order[begin].first[depth];
      size_t child_end = begin;
      while (child_end < end && order[child_end].first[depth] == byte) ++child_end;
      ranges.push_back({begin, child_end, depth + 1});
      byte_.push_back(static_cast<uint8_t>(byte));
      values_.push_back(-1);
      begin = child_end;
    }
  }
  first_child_.push_back(static_cast<uint32_t>(ranges.size()));
}

bool Trie::Step(uint8_t byte, uint32_t& node) const {
  const auto begin = byte_.begin() + first_child_[node];
  const auto end = byte_.begin() + first_child_[node + 1];
  const auto child = std::lower_bound(begin, end, byte);
  if (child == end || *child != byte) return false;
  node = static_cast<uint32_t>(child - byte_.begin());
  return true;
}

}  // namespace shoal::tokenizer
