// A "model" whose answers depend on everything: each block keeps one number per position, a hash of
// its inputs so far, and gives a hash of that. A row that is lost, repeated, out of order, of
// another session, or computed on a stale cache changes every later token. However the blocks are
// cut into stages, the answer is the same.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace shoal::simulator {

inline constexpr uint32_t kVocab = 50'000;
// A hidden state is a number of 64 bits, 16 in each of four floats: exact.
inline constexpr uint32_t kHiddenWidth = 4;

inline uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t x = a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2));
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

inline uint64_t Embed(int32_t token) { return Mix(0x5eed, static_cast<uint64_t>(token)); }

// Block b's new cache entry, given the one before (0 at position 0), and its output.
inline uint64_t CacheEntry(uint64_t before, uint64_t input) { return Mix(before, input); }
inline uint64_t BlockOutput(uint32_t block, uint64_t entry) { return Mix(entry, block + 1); }

// Ids below 10 never come by chance: requests use them as their end.
inline int32_t TokenOf(uint64_t last_output) {
  return static_cast<int32_t>(10 + last_output % (kVocab - 10));
}

// The whole model at once: the reference that answers are held against.
class ReferenceModel {
 public:
  explicit ReferenceModel(uint32_t blocks) : entries_(blocks, 0) {}
  // Feeds a token; the token that follows.
  int32_t Next(int32_t token) {
    uint64_t hidden = Embed(token);
    for (uint32_t b = 0; b < entries_.size(); ++b) {
      entries_[b] = CacheEntry(entries_[b], hidden);
      hidden = BlockOutput(b, entries_[b]);
    }
    return TokenOf(hidden);
  }

 private:
  std::vector<uint64_t> entries_;
};

}  // namespace shoal::simulator
