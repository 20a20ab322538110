#include "coordinator/grammar/grammar.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace shoal::grammar {
namespace {

using Kind = Grammar::Symbol::Kind;

}  // namespace

ByteSet ByteRange(uint8_t first, uint8_t last) {
  ByteSet set;
  for (unsigned byte = first; byte <= last; ++byte) set.set(byte);
  return set;
}

Grammar::Rule Grammar::NewRule() {
  rules_.emplace_back();
  return static_cast<Rule>(rules_.size() - 1);
}

void Grammar::AddAlternative(Rule rule, const Sequence& sequence) {
  rules_.at(rule).push_back(static_cast<uint32_t>(symbols_.size()));
  symbols_.insert(symbols_.end(), sequence.begin(), sequence.end());
  symbols_.push_back({Kind::kEnd, 0});
}

Grammar::Rule Grammar::NewRule(const std::vector<Sequence>& alternatives) {
  const Rule rule = NewRule();
  for (const Sequence& sequence : alternatives) AddAlternative(rule, sequence);
  return rule;
}

Grammar::Symbol Grammar::Bytes(const ByteSet& set) {
  const auto at = std::ranges::find(sets_, set);
  const auto index = static_cast<uint32_t>(at - sets_.begin());
  if (at == sets_.end()) sets_.push_back(set);
  return {Kind::kBytes, index};
}

Grammar::Sequence Grammar::Literal(std::string_view text) {
  Sequence out;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    out.push_back(Bytes(ByteRange(byte, byte)));
  }
  return out;
}

GrammarState::GrammarState(const Grammar& grammar) : grammar_(&grammar) {
  std::vector<Stack> stacks;
  for (const uint32_t start : grammar.rules_.at(grammar.root_)) Expand({start}, stacks);
  Adopt(std::move(stacks));
}

// Follows rules until every stack waits for a byte.
void GrammarState::Expand(Stack stack, std::vector<Stack>& out) {
  const std::vector<Grammar::Symbol>& symbols = grammar_->symbols_;
  while (!stack.empty() && symbols[stack.back()].kind == Kind::kEnd) stack.pop_back();
  if (stack.empty()) {
    is_complete_ = true;
    return;
  }
  const uint32_t at = stack.back();
  if (symbols[at].kind == Kind::kBytes) return out.push_back(std::move(stack));
  stack.pop_back();
  // A rule at the end of a sequence leaves nothing to come back to: chains do not grow the stack.
  if (symbols[at + 1].kind != Kind::kEnd) stack.push_back(at + 1);
  for (const uint32_t start : grammar_->rules_[symbols[at].index]) {
    Stack next = stack;
    next.push_back(start);
    Expand(std::move(next), out);
  }
}

void GrammarState::Adopt(std::vector<Stack> stacks) {
  std::ranges::sort(stacks);
  const auto rest = std::ranges::unique(stacks);
  stacks.erase(rest.begin(), rest.end());
  stacks_ = std::move(stacks);
}

bool GrammarState::Advance(uint8_t byte) {
  std::vector<Stack> next;
  const std::vector<Stack> before = std::move(stacks_);
  is_complete_ = false;
  for (const Stack& stack : before) {
    const Grammar::Symbol& symbol = grammar_->symbols_[stack.back()];
    CHECK(symbol.kind == Kind::kBytes);
    if (!grammar_->sets_[symbol.index].test(byte)) continue;
    Stack moved = stack;
    ++moved.back();
    Expand(std::move(moved), next);
  }
  Adopt(std::move(next));
  return !is_dead();
}

bool GrammarState::Advance(std::string_view text) {
  for (const char c : text) {
    if (!Advance(static_cast<uint8_t>(c))) return false;
  }
  return true;
}

std::vector<uint32_t> GrammarState::Key() const {
  std::vector<uint32_t> key = {is_complete_ ? 1u : 0u};
  for (const Stack& stack : stacks_) {
    key.push_back(static_cast<uint32_t>(stack.size()));
    key.insert(key.end(), stack.begin(), stack.end());
  }
  return key;
}

}  // namespace shoal::grammar
