// Cuts a text that comes in pieces before the first stop sequence in it.
//
// The first is the one that is complete first; of several that are complete at the same character,
// the longest. So the result does not depend on how the text was cut into pieces.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::api {

class StopSequences {
 public:
  // None may be empty (CHECK).
  explicit StopSequences(const std::vector<std::string>& sequences);

  // The text that may be shown now: everything up to the longest end that may yet become a stop
  // sequence; after a match nothing any more.
  std::string Push(std::string_view text);
  // The end: what was held back.
  std::string Flush();
  // Whether a stop sequence has come.
  bool matched() const { return matched_; }

 private:
  // Knuth, Morris and Pratt's automaton of one sequence.
  struct Automaton {
    std::string sequence;
    std::vector<size_t> fallback;  // Of a prefix: the length of its longest proper border.
    size_t length = 0;             // Of the prefix that ends where the text ends.

    void Advance(char c);
  };

  std::vector<Automaton> automata_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace shoal::api
