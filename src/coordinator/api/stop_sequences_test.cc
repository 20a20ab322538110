#include "coordinator/api/stop_sequences.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"

namespace shoal::api {
namespace {

// What the header promises, from the whole text at once, by trying everything.
struct Outcome {
  std::string text;
  bool matched = false;
};

Outcome SearchWholeText(const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 0; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

// The longest end of `text` that a stop sequence could begin with.
size_t MustBeHeld(const std::string& text, const std::vector<std::string>& stops) {
  size_t longest = 0;
  for (const std::string& stop : stops) {
    for (size_t length = 1; length < stop.size(); ++length) {
      if (text.ends_with(stop.substr(0, length))) longest = std::max(longest, length);
    }
  }
  return longest;
}

std::string RandomText(Random& random, size_t max_size) {
  std::string out(random.Below(max_size + 1), ' ');
  for (char& c : out) c = static_cast<char>('a' + random.Below(3));
  return out;
}

TEST(StopSequences, AgreesWithASearchOfTheWholeTextHoweverItIsCut) {
  Random random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::string> stops(random.Below(4));
    for (std::string& stop : stops) stop = RandomText(random, 4) + "a";
    const std::string text = RandomText(random, 40);
    StopSequences cutter(stops);
    std::string shown;
    for (size_t at = 0; at < text.size() && !cutter.matched();) {
      const size_t step = 1 + random.Below(6);
      shown += cutter.Push(std::string_view(text).substr(at, step));
      at = std::min(text.size(), at + step);
      if (cutter.matched()) break;
      // Nothing is held back longer than it has to be.
      const std::string so_far = text.substr(0, at);
      ASSERT_EQ(shown.size(), at - MustBeHeld(so_far, stops)) << so_far;
    }
    shown += cutter.Flush();
    const Outcome expected = SearchWholeText(text, stops);
    ASSERT_EQ(shown, expected.text) << text;
    ASSERT_EQ(cutter.matched(), expected.matched) << text;
  }
}

TEST(StopSequences, ShowsNothingAfterAMatch) {
  StopSequences cutter({"\n\n"});
  EXPECT_EQ(cutter.Push("one\n"), "one");
  EXPECT_EQ(cutter.Push(""), "");
  EXPECT_EQ(cutter.Push("\ntwo"), "");
  EXPECT_TRUE(cutter.matched());
  EXPECT_EQ(cutter.Push("three"), "");
  EXPECT_EQ(cutter.Flush(), "");
}

TEST(StopSequences, LetsEverythingThroughWhenThereAreNone) {
  StopSequences cutter({});
  EXPECT_EQ(cutter.Push("abc"), "abc");
  EXPECT_EQ(cutter.Flush(), "");
  EXPECT_FALSE(cutter.matched());
}

}  // namespace
}  // namespace shoal::api
