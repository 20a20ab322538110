#include "coordinator/grammar/json_rules.h"

#include <algorithm>
#include <utility>

namespace shoal::grammar {
namespace {

using Symbol = Grammar::Symbol;
using Sequence = Grammar::Sequence;

constexpr int kDigitsMax = 15;  // More, and a double does not hold an integer exactly.
constexpr int kExponentDigitsMax = 2;
constexpr int kIndentMax = 20;

void Append(Sequence& out, const Sequence& more) {
  out.insert(out.end(), more.begin(), more.end());
}

}  // namespace

JsonRules::Rule JsonRules::Space() {
  if (space_) return *space_;
  // Bounded, so that no model can fill an answer with it.
  Rule indent = grammar_.NewRule({Sequence()});
  for (int at = 0; at < kIndentMax; ++at) {
    indent = grammar_.NewRule({{}, {grammar_.Literal(" ")[0], Grammar::Ref(indent)}});
  }
  space_ = grammar_.NewRule(
      {{}, grammar_.Literal(" "), {grammar_.Literal("\n")[0], Grammar::Ref(indent)}});
  return *space_;
}

JsonRules::Rule JsonRules::Digits(int least, int most) {
  const Symbol digit = grammar_.Bytes(ByteRange('0', '9'));
  return Repeat({digit}, {}, static_cast<uint32_t>(least), static_cast<uint32_t>(most));
}

JsonRules::Rule JsonRules::Repeat(const Sequence& one, const Sequence& separator, uint32_t least,
                                  std::optional<uint32_t> most) {
  // From the end: what may follow when `count` are there. `rest` begins with the separator.
  Sequence another = separator;
  Append(another, one);
  Rule rest = 0;
  uint32_t count = most.value_or(std::max(least, 1u));
  if (most) {
    rest = grammar_.NewRule({Sequence()});
  } else {
    rest = grammar_.NewRule();
    grammar_.AddAlternative(rest, {});
    Sequence again = another;
    again.push_back(Grammar::Ref(rest));
    grammar_.AddAlternative(rest, again);
  }
  for (; count > 0; --count) {
    Sequence longer = count == 1 ? one : another;
    longer.push_back(Grammar::Ref(rest));
    const Rule rule = grammar_.NewRule();
    if (count > least) grammar_.AddAlternative(rule, {});
    grammar_.AddAlternative(rule, longer);
    rest = rule;
  }
  return rest;
}

JsonRules::Rule JsonRules::Integer() {
  if (integer_) return *integer_;
  const Rule sign = grammar_.NewRule({{}, grammar_.Literal("-")});
  const Rule digits = grammar_.NewRule(
      {grammar_.Literal("0"),
       {grammar_.Bytes(ByteRange('1', '9')), Grammar::Ref(Digits(0, kDigitsMax - 1))}});
  integer_ = grammar_.NewRule({{Grammar::Ref(sign), Grammar::Ref(digits)}});
  return *integer_;
}

JsonRules::Rule JsonRules::Number() {
  if (number_) return *number_;
  const Rule fraction =
      grammar_.NewRule({{}, {grammar_.Literal(".")[0], Grammar::Ref(Digits(1, kDigitsMax))}});
  ByteSet e;
  e.set('e').set('E');
  ByteSet signs;
  signs.set('+').set('-');
  const Rule sign = grammar_.NewRule({{}, {grammar_.Bytes(signs)}});
  const Rule exponent = grammar_.NewRule(
      {{}, {grammar_.Bytes(e), Grammar::Ref(sign), Grammar::Ref(Digits(1, kExponentDigitsMax))}});
  number_ =
      grammar_.NewRule({{Grammar::Ref(Integer()), Grammar::Ref(fraction), Grammar::Ref(exponent)}});
  return *number_;
}

JsonRules::Rule JsonRules::Character() {
  if (character_) return *character_;
  const auto bytes = [this](uint8_t first, uint8_t last) {
    return grammar_.Bytes(ByteRange(first, last));
  };
  ByteSet plain = ByteRange(0x20, 0x7f);
  plain.reset('"').reset('\\');
  const Symbol next = bytes(0x80, 0xbf);
  ByteSet named;
  for (const char c : {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'}) named.set(static_cast<uint8_t>(c));
  const ByteSet digits = ByteRange('0', '9');
  const ByteSet letters = ByteRange('a', 'f') | ByteRange('A', 'F');
  const Symbol hex = grammar_.Bytes(digits | letters);
  ByteSet d;
  d.set('d').set('D');
  // The last two: \u of all but the halves of surrogate pairs, which are no characters.
  const Symbol backslash = grammar_.Literal("\\")[0];
  const Symbol u = grammar_.Literal("u")[0];
  character_ = grammar_.NewRule({
      {grammar_.Bytes(plain)},
      {bytes(0xc2, 0xdf), next},
      {bytes(0xe0, 0xe0), bytes(0xa0, 0xbf), next},
      {bytes(0xe1, 0xec), next, next},
      {bytes(0xed, 0xed), bytes(0x80, 0x9f), next},
      {bytes(0xee, 0xef), next, next},
      {bytes(0xf0, 0xf0), bytes(0x90, 0xbf), next, next},
      {bytes(0xf1, 0xf3), next, next, next},
      {bytes(0xf4, 0xf4), bytes(0x80, 0x8f), next, next},
      {backslash, grammar_.Bytes(named)},
      {backslash, u, grammar_.Bytes((digits | letters) & ~d), hex, hex, hex},
      {backslash, u, grammar_.Bytes(d), bytes('0', '7'), hex, hex},
  });
  return *character_;
}

JsonRules::Rule JsonRules::String() {
  if (string_) return *string_;
  const Rule body = Repeat({Grammar::Ref(Character())}, {}, 0, std::nullopt);
  const Symbol quote = grammar_.Literal("\"")[0];
  string_ = grammar_.NewRule({{quote, Grammar::Ref(body), quote}});
  return *string_;
}

JsonRules::Rule JsonRules::Enclosed(char open, Rule inside, char close) {
  const Symbol space = Grammar::Ref(Space());
  return grammar_.NewRule({{grammar_.Literal({&open, 1})[0], space, Grammar::Ref(inside), space,
                            grammar_.Literal({&close, 1})[0]}});
}

JsonRules::Rule JsonRules::Array(Rule item, uint32_t least, std::optional<uint32_t> most) {
  const Sequence comma = {grammar_.Literal(",")[0], Grammar::Ref(Space())};
  return Enclosed('[', Repeat({Grammar::Ref(item)}, comma, least, most), ']');
}

JsonRules::Rule JsonRules::Map(Rule value) {
  const Symbol space = Grammar::Ref(Space());
  const Sequence member = {Grammar::Ref(String()), grammar_.Literal(":")[0], space,
                           Grammar::Ref(value)};
  return Enclosed('{', Repeat(member, {grammar_.Literal(",")[0], space}, 0, std::nullopt), '}');
}

JsonRules::Rule JsonRules::EmptyObject() {
  return Enclosed('{', grammar_.NewRule({Sequence()}), '}');
}

JsonRules::Rule JsonRules::Object(const std::vector<Member>& members) {
  // From the last member: what may follow when some are there (`rest`, with a comma), and what
  // when none is (`first`).
  Rule rest = grammar_.NewRule({Sequence()});
  Rule first = rest;
  for (size_t at = members.size(); at-- > 0;) {
    const Member& member = members[at];
    Sequence text = grammar_.Literal(member.key);
    Append(text, {grammar_.Literal(":")[0], Grammar::Ref(Space()), Grammar::Ref(member.value),
                  Grammar::Ref(rest)});
    Sequence later = {grammar_.Literal(",")[0], Grammar::Ref(Space())};
    Append(later, text);
    const Rule new_first = grammar_.NewRule({text});
    const Rule new_rest = grammar_.NewRule({later});
    if (!member.is_required) {
      grammar_.AddAlternative(new_first, {Grammar::Ref(first)});
      grammar_.AddAlternative(new_rest, {Grammar::Ref(rest)});
    }
    first = new_first;
    rest = new_rest;
  }
  return Enclosed('{', first, '}');
}

JsonRules::Rule JsonRules::Any() {
  if (any_) return *any_;
  any_ = grammar_.NewRule();  // Before its parts, which refer to it.
  for (const char* literal : {"true", "false", "null"}) {
    grammar_.AddAlternative(*any_, grammar_.Literal(literal));
  }
  for (const Rule rule : {String(), Number(), Map(*any_), Array(*any_, 0, std::nullopt)}) {
    grammar_.AddAlternative(*any_, {Grammar::Ref(rule)});
  }
  return *any_;
}

}  // namespace shoal::grammar
