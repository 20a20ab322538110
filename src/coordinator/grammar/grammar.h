// Which texts are allowed, byte by byte: a context-free grammar over bytes, and where one is in it.
//
// A state is the set of all ways in which the bytes so far can be read (stacks of what is still to
// come), as in llama.cpp's grammars. Rules must not begin with themselves.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

namespace shoal::grammar {

using ByteSet = std::bitset<256>;
ByteSet ByteRange(uint8_t first, uint8_t last);

class Grammar {
 public:
  using Rule = uint32_t;
  struct Symbol {
    enum class Kind : uint8_t { kBytes, kRule, kEnd } kind = Kind::kEnd;
    uint32_t index = 0;  // Of a byte set, or a rule.
  };
  using Sequence = std::vector<Symbol>;

  // A rule without alternatives yet: it can be referred to before it is known.
  Rule NewRule();
  void AddAlternative(Rule rule, const Sequence& sequence);
  Rule NewRule(const std::vector<Sequence>& alternatives);

  Symbol Bytes(const ByteSet& set);
  static Symbol Ref(Rule rule) { return {Symbol::Kind::kRule, rule}; }
  Sequence Literal(std::string_view text);

  void set_root(Rule root) { root_ = root; }
  size_t size() const { return symbols_.size(); }

 private:
  friend class GrammarState;
  std::vector<Symbol> symbols_;               // Every alternative's, each ended by kEnd.
  std::vector<std::vector<uint32_t>> rules_;  // Where its alternatives begin.
  std::vector<ByteSet> sets_;
  Rule root_ = 0;
};

class GrammarState {
 public:
  // At the beginning. `grammar` must outlive the state.
  explicit GrammarState(const Grammar& grammar);

  // False, and no text is allowed any more, when `byte` cannot come here.
  bool Advance(uint8_t byte);
  bool Advance(std::string_view text);
  // Whether the text may end here.
  bool is_complete() const { return is_complete_; }
  bool is_dead() const { return stacks_.empty() && !is_complete_; }
  // The same for the same set of readings.
  std::vector<uint32_t> Key() const;

 private:
  using Stack = std::vector<uint32_t>;  // Positions among the symbols; the next one is last.
  void Expand(Stack stack, std::vector<Stack>& out);
  void Adopt(std::vector<Stack> stacks);

  const Grammar* grammar_;
  std::vector<Stack> stacks_;  // Sorted, each once; each ends with a kBytes symbol.
  bool is_complete_ = false;
};

}  // namespace shoal::grammar
