#include "links/shaper.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>

namespace shoal::links {
namespace {

size_t TotalOf(const std::vector<Piece>& pieces) {
  return std::accumulate(pieces.begin(), pieces.end(), size_t{0},
                         [](size_t sum, const Piece& piece) { return sum + piece.bytes; });
}

TEST(Shaper, WithoutTraitsEverythingLeavesAtOnce) {
  Shaper shaper({}, 1);
  Micros last = 0;
  const auto pieces = shaper.Send(1000, 1 << 20, last);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].leaves, 1000);
  EXPECT_EQ(pieces[0].bytes, 1u << 20);
  EXPECT_EQ(shaper.Backlog(1000), 0);
}

TEST(Shaper, BytesGoOutAtTheRateAndTravelWithTheDelay) {
  Shaper shaper({.delay = 20'000, .bytes_per_second = 1'448'000}, 1);  // A packet a millisecond.
  Micros last = 0;
  const auto pieces = shaper.Send(5000, 10 * kPacketBytes, last);
  ASSERT_EQ(pieces.size(), 10u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(pieces[i].leaves, 5000 + (i + 1) * 1000 + 20'000);
  EXPECT_EQ(shaper.Backlog(5000), 10'000);
  EXPECT_EQ(shaper.Backlog(14'999), 1);
  EXPECT_EQ(shaper.Backlog(20'000), 0);
}

TEST(Shaper, ConnectionsShareTheRate) {
  Shaper shaper({.bytes_per_second = 1'448'000}, 1);
  Micros one = 0;
  Micros other = 0;
  EXPECT_EQ(shaper.Send(0, 5 * kPacketBytes, one).back().leaves, 5000);
  EXPECT_EQ(shaper.Send(0, kPacketBytes, other).back().leaves, 6000);
}

TEST(Shaper, FractionsOfMicrosecondsAddUp) {
  Shaper shaper({.bytes_per_second = 3e6}, 1);  // A byte takes a third of a microsecond.
  Micros last = 0;
  for (int i = 0; i < 3'000'000; i += 1000) shaper.Send(0, 1000, last);
  EXPECT_NEAR(static_cast<double>(last), 1e6, 2);
}

TEST(Shaper, ALostPacketHoldsItsOwnConnectionOnly) {
  Shaper shaper({.delay = 10'000, .loss = 0.999999}, 1);
  Micros one = 0;
  EXPECT_EQ(shaper.Send(0, 100, one).back().leaves, 10'000 + 20'000 + kRetransmit);
  shaper.SetTraits({.delay = 10'000});
  EXPECT_EQ(shaper.Send(1, 100, one).back().leaves, 30'000 + kRetransmit);
  Micros other = 0;
  EXPECT_EQ(shaper.Send(1, 100, other).back().leaves, 10'001);
}

TEST(Shaper, LossesComeAsOftenAsAsked) {
  Shaper shaper({.loss = 0.02, .retransmit = 1}, 7);
  int lost = 0;
  for (Micros now = 0; now < 500'000; now += 10) {
    Micros last = 0;
    lost += shaper.Send(now, 1, last).back().leaves > now ? 1 : 0;
  }
  EXPECT_NEAR(lost, 1000, 100);  // 50,000 packets; more than three standard deviations.
}

TEST(Shaper, ACutHoldsWhatIsUnderWayUntilItHeals) {
  Shaper shaper({.delay = 10'000}, 1);
  Micros last = 0;
  const Micros early = shaper.Send(0, 1, last).back().leaves;
  const Micros late = shaper.Send(5000, 1, last).back().leaves;
  shaper.Cut(12'000);
  EXPECT_TRUE(shaper.is_cut());
  EXPECT_EQ(shaper.Leaves(early), early);
  EXPECT_EQ(shaper.Leaves(late), std::nullopt);
  shaper.Heal(100'000);
  EXPECT_EQ(shaper.Leaves(late), 100'000 + 10'000 + kRetransmit);
  EXPECT_EQ(shaper.Leaves(900'000), 900'000);
  // A second cut before the retransmission holds the same bytes on.
  shaper.Cut(150'000);
  EXPECT_EQ(shaper.Leaves(late), std::nullopt);
  shaper.Heal(200'000);
  EXPECT_EQ(shaper.Leaves(late), 200'000 + 10'000 + kRetransmit);
}

TEST(Shaper, TheSameSeedGivesTheSameTimes) {
  const LinkTraits traits{.delay = 5000, .jitter = 3000, .bytes_per_second = 1e6, .loss = 0.1};
  Shaper a(traits, 3);
  Shaper b(traits, 3);
  Micros last_a = 0;
  Micros last_b = 0;
  for (Micros now = 0; now < 100'000; now += 777) {
    const auto from_a = a.Send(now, 5000, last_a);
    const auto from_b = b.Send(now, 5000, last_b);
    ASSERT_EQ(from_a.size(), from_b.size());
    for (size_t i = 0; i < from_a.size(); ++i) EXPECT_EQ(from_a[i].leaves, from_b[i].leaves);
  }
}

// However it is handed over: nothing is lost or overtakes, nothing is faster than the link.
RC_GTEST_PROP(Shaper, KeepsBytesOrderDelayAndRate, ()) {
  const LinkTraits traits{
      .delay = *rc::gen::inRange<Micros>(0, 50'000),
      .jitter = *rc::gen::inRange<Micros>(0, 10'000),
      .bytes_per_second = static_cast<double>(*rc::gen::inRange(1000, 10'000'000)),
      .loss = *rc::gen::inRange(0, 20) / 100.0};
  Shaper shaper(traits, *rc::gen::arbitrary<uint64_t>());
  Micros now = *rc::gen::inRange<Micros>(0, 1000);
  const Micros start = now;
  Micros last = 0;
  Micros before = 0;
  double sent = 0;
  for (const auto& [wait, bytes] : *rc::gen::container<std::vector<std::pair<int, int>>>(
           rc::gen::pair(rc::gen::inRange(0, 20'000), rc::gen::inRange(1, 100'000)))) {
    now += wait;
    const auto pieces = shaper.Send(now, static_cast<size_t>(bytes), last);
    RC_ASSERT(TotalOf(pieces) == static_cast<size_t>(bytes));
    for (const Piece& piece : pieces) {
      sent += static_cast<double>(piece.bytes);
      RC_ASSERT(piece.leaves >= before);
      RC_ASSERT(piece.leaves >= now + traits.delay);
      const double least = sent * kSecond / traits.bytes_per_second;
      RC_ASSERT(static_cast<double>(piece.leaves - start - traits.delay) >= least - 2);
      before = piece.leaves;
    }
  }
}

}  // namespace
}  // namespace shoal::links
