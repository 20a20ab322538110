// Reads the tokens of one JSON text (RFC 8259), strictly, without building a tree.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace shoal::wire {

// After the first error every call does nothing and gives an empty value; ok() is false and
// error() says what was wrong and at which byte.
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : text_(text) {}

  bool ok() const { return ok_; }
  const std::string& error() const { return error_; }
  size_t remaining() const { return text_.size() - at_; }

  // The next character after white space; 0 at the end.
  char Peek();
  // Whether the next character is `c`; if so it is taken.
  bool Consume(char c);
  // Takes `c`; anything else is an error.
  void Expect(char c);
  // Takes a string: its characters, as UTF-8.
  std::string String();
  // Takes the characters of a number. Its grammar is left to the one who reads the value.
  std::string_view Number();
  // Takes true or false.
  bool Boolean();
  // Nothing but white space may be left.
  void ExpectEnd();
  // Records an error at the current place.
  void Fail(std::string_view what);

 private:
  void SkipSpace();
  void Escape(std::string& out);
  uint32_t HexUnit();

  std::string_view text_;
  size_t at_ = 0;
  bool ok_ = true;
  std::string error_;
};

}  // namespace shoal::wire
