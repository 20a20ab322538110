#include "coordinator/grammar/token_constraint.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace shoal::grammar {
namespace {
constexpr size_t kMasksMax = 256;
}  // namespace

TokenConstraint::TokenConstraint(std::shared_ptr<const Grammar> grammar,
                                 const Vocabulary& vocabulary, std::vector<int32_t> end_ids)
    : grammar_(std::move(grammar)),
      vocabulary_(vocabulary),
      end_ids_(std::move(end_ids)),
      state_(*grammar_) {
  CHECK(!end_ids_.empty());
}

void TokenConstraint::Read(int32_t token) {
  read_.push_back(token);
  const std::string& bytes = vocabulary_.BytesOf(token);
  // A token without bytes is none that was allowed: nothing but the end may follow it.
  for (const char byte : bytes) state_.Advance(static_cast<uint8_t>(byte));
}

const std::vector<uint8_t>& TokenConstraint::Mask(std::span<const int32_t> generated) {
  const bool goes_on =
      generated.size() >= read_.size() && std::equal(read_.begin(), read_.end(), generated.begin());
  if (!goes_on) {
    read_.clear();
    state_ = GrammarState(*grammar_);
  }
  while (read_.size() < generated.size()) Read(generated[read_.size()]);
  std::vector<uint32_t> key = state_.Key();
  if (const auto at = masks_.find(key); at != masks_.end()) return at->second;
  std::vector<uint8_t> mask((vocabulary_.size() + 7) / 8, 0);
  vocabulary_.Allow(state_, mask);
  const bool has_any = std::ranges::any_of(mask, [](uint8_t byte) { return byte != 0; });
  if (state_.is_complete() || !has_any) {
    for (const int32_t id : end_ids_) {
      const auto bit = static_cast<size_t>(id);
      if (bit < vocabulary_.size())
        mask[bit / 8] = static_cast<uint8_t>(mask[bit / 8] | 1u << bit % 8);
    }
  }
  if (masks_.size() >= kMasksMax) masks_.clear();
  return masks_.emplace(std::move(key), std::move(mask)).first->second;
}

}  // namespace shoal::grammar
