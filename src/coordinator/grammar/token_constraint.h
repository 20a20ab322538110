// Which token may come next in an answer that a grammar binds.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "coordinator/grammar/grammar.h"
#include "coordinator/grammar/vocabulary.h"

namespace shoal::grammar {

class TokenConstraint {
 public:
  // `vocabulary` must outlive this. `end_ids`: what ends an answer; not empty (CHECK).
  TokenConstraint(std::shared_ptr<const Grammar> grammar, const Vocabulary& vocabulary,
                  std::vector<int32_t> end_ids);

  // The mask for the token after `generated`, as wire::Sampling has it: a function of `generated`
  // alone, quick when it is called with one token more each time. The end is allowed where the text
  // is complete, and where nothing else is.
  const std::vector<uint8_t>& Mask(std::span<const int32_t> generated);

 private:
  void Read(int32_t token);

  std::shared_ptr<const Grammar> grammar_;
  const Vocabulary& vocabulary_;
  const std::vector<int32_t> end_ids_;
  GrammarState state_;
  std::vector<int32_t> read_;  // The tokens that led to state_.
  // Many places of a text are alike: the inside of every string, for one.
  std::map<std::vector<uint32_t>, std::vector<uint8_t>> masks_;
};

}  // namespace shoal::grammar
