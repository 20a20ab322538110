#include "coordinator/api/stop_sequences.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace shoal::api {

void StopSequences::Automaton::Advance(char c) {
  if (length == sequence.size()) length = fallback[length];
  while (length > 0 && sequence[length] != c) length = fallback[length];
  if (sequence[length] == c) ++length;
}

StopSequences::StopSequences(const std::vector<std::string>& sequences) {
  for (const std::string& sequence : sequences) {
    CHECK(!sequence.empty());
    Automaton automaton{sequence, std::vector<size_t>(sequence.size() + 1, 0), 0};
    for (size_t end = 1, border = 0; end < sequence.size(); ++end) {
      while (border > 0 && sequence[border] != sequence[end]) border = automaton.fallback[border];
      if (sequence[border] == sequence[end]) ++border;
      automaton.fallback[end + 1] = border;
    }
    automata_.push_back(std::move(automaton));
  }
}

std::string StopSequences::Push(std::string_view text) {
  if (matched_) return {};
  if (automata_.empty() || text.empty()) return std::string(text);
  size_t longest = 0;  // Prefix of any sequence that ends where the text ends.
  for (const char c : text) {
    held_ += c;
    longest = 0;
    size_t complete = 0;
    for (Automaton& automaton : automata_) {
      automaton.Advance(c);
      longest = std::max(longest, automaton.length);
      if (automaton.length == automaton.sequence.size()) {
        complete = std::max(complete, automaton.length);
      }
    }
    if (complete > 0) {
      matched_ = true;
      held_.resize(held_.size() - complete);
      return std::exchange(held_, {});
    }
  }
  std::string shown = held_.substr(0, held_.size() - longest);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopSequences::Flush() { return std::exchange(held_, {}); }

}  // namespace shoal::api
