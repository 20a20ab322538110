// The ids of words met before.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer {

// Bounded: two generations of kGenerationWords; when the young one is full it becomes the old one,
// and what the old one held is forgotten unless it was asked for meanwhile. Thread-safe.
class WordCache {
 public:
  static constexpr size_t kGenerationWords = 16384;
  static constexpr size_t kMaxWordBytes = 128;

  // Appends the ids of `word` and returns true if it is known.
  bool Append(std::string_view word, std::vector<int32_t>& ids);
  // Longer words than kMaxWordBytes are not kept.
  void Keep(std::string_view word, const int32_t* ids, size_t count);

 private:
  using Words = TextMap<std::vector<int32_t>>;
  void KeepLocked(std::string_view word, std::vector<int32_t> ids);

  std::mutex mutex_;
  Words young_;
  Words old_;
};

}  // namespace shoal::tokenizer
