// The rules of JSON itself (RFC 8259), for grammars of particular JSON texts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/grammar/grammar.h"

namespace shoal::grammar {

// Makes each rule when it is first asked for. `grammar` must outlive this.
class JsonRules {
 public:
  using Rule = Grammar::Rule;
  using Sequence = Grammar::Sequence;

  explicit JsonRules(Grammar& grammar) : grammar_(grammar) {}

  Rule Any();        // Any value.
  Rule String();     // With quotes.
  Rule Character();  // One character within a string, escaped or not; valid UTF-8.
  Rule Number();     // At most 15 digits before the point, after it, and 2 of an exponent.
  Rule Integer();    // At most 15 digits.
  Rule Array(Rule item, uint32_t least, std::optional<uint32_t> most);
  Rule Map(Rule value);  // An object of any keys.
  Rule EmptyObject();

  struct Member {
    std::string key;  // Serialised, with its quotes.
    Rule value = 0;
    bool is_required = false;
  };
  // Exactly these keys, in this order, without some of those that are not required.
  Rule Object(const std::vector<Member>& members);

  // `one`, then `separator` and `one`, ...: `least` to `most` times, without a bound if none.
  Rule Repeat(const Sequence& one, const Sequence& separator, uint32_t least,
              std::optional<uint32_t> most);

 private:
  Rule Space();  // Between tokens: none, a blank, or a line break and an indent.
  Rule Digits(int least, int most);
  // `open`, space, `inside`, space, `close`.
  Rule Enclosed(char open, Rule inside, char close);

  Grammar& grammar_;
  std::optional<Rule> any_;
  std::optional<Rule> string_;
  std::optional<Rule> character_;
  std::optional<Rule> number_;
  std::optional<Rule> integer_;
  std::optional<Rule> space_;
};

}  // namespace shoal::grammar
