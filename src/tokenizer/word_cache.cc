#include "tokenizer/word_cache.h"

namespace shoal::tokenizer {

bool WordCache::Append(std::string_view word, std::vector<int32_t>& ids) {
  if (word.size() > kMaxWordBytes) return false;
  const std::lock_guard lock(mutex_);
  if (const auto found = young_.find(word); found != young_.end()) {
    ids.insert(ids.end(), found->second.begin(), found->second.end());
    return true;
  }
  const auto found = old_.find(word);
  if (found == old_.end()) return false;
  ids.insert(ids.end(), found->second.begin(), found->second.end());
  KeepLocked(word, std::vector<int32_t>(found->second));
  return true;
}

void WordCache::Keep(std::string_view word, const int32_t* ids, size_t count) {
  if (word.size() > kMaxWordBytes) return;
  const std::lock_guard lock(mutex_);
  KeepLocked(word, std::vector<int32_t>(ids, ids + count));
}

void WordCache::KeepLocked(std::string_view word, std::vector<int32_t> ids) {
  if (young_.size() >= kGenerationWords) {
    old_ = std::move(young_);
    young_ = Words();
  }
  young_.insert_or_assign(std::string(word), std::move(ids));
}

}  // namespace shoal::tokenizer
