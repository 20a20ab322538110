#include "net/event_loop.h"

#include <gtest/gtest.h>

#include <csignal>
#include <thread>
#include <vector>

#include "net/test_support.h"

namespace shoal::net {
namespace {

using std::chrono::milliseconds;

TEST(EventLoop, PostsRunLaterAndInOrder) {
  EventLoop loop;
  std::vector<int> order;
  loop.Post([&] {
    loop.Post([&] {
      order.push_back(3);
      loop.Stop();
    });
    order.push_back(1);
  });
  loop.Post([&] { order.push_back(2); });
  EXPECT_TRUE(order.empty());
  loop.Run();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST(EventLoop, TakesPostsAndStopFromOtherThreads) {
  EventLoop loop;
  int count = 0;
  std::thread other([&] {
    for (int at = 0; at < 1000; ++at) loop.Post([&] { ++count; });
    loop.Post([&] { loop.Stop(); });
  });
  loop.Run();
  other.join();
  EXPECT_EQ(count, 1000);
}

TEST(EventLoop, HandsOverSigterm) {
  EventLoop loop;
  int signal = 0;
  loop.OnTerminate([&](int number) {
    signal = number;
    loop.Stop();
  });
  loop.Post([] { std::raise(SIGTERM); });
  loop.Run();
  EXPECT_EQ(signal, SIGTERM);
}

TEST(Timer, FiresOnceAfterItsDelay) {
  EventLoop loop;
  Timer timer(loop);
  int count = 0;
  const int64_t start = loop.NowUs();
  timer.After(milliseconds(20), [&] { ++count; });
  EXPECT_TRUE(timer.active());
  ASSERT_TRUE(RunUntil(loop, [&] { return count > 0; }));
  EXPECT_GE(loop.NowUs() - start, 20'000);
  EXPECT_FALSE(timer.active());
  loop.RunFor(milliseconds(50));
  EXPECT_EQ(count, 1);
}

TEST(Timer, RepeatsUntilItIsCancelledFromWithin) {
  EventLoop loop;
  Timer timer(loop);
  int count = 0;
  timer.Every(milliseconds(5), [&] {
    if (++count == 3) timer.Cancel();
  });
  loop.RunFor(milliseconds(60));
  EXPECT_EQ(count, 3);
}

TEST(Timer, LeavesOutTicksThatWereMissed) {
  EventLoop loop;
  Timer timer(loop);
  int count = 0;
  timer.Every(milliseconds(10), [&] {
    if (++count == 1) std::this_thread::sleep_for(milliseconds(100));
  });
  RunUntil(loop, [&] { return count >= 2; });
  loop.RunFor(milliseconds(2));
  EXPECT_LE(count, 3);
}

TEST(Timer, ItsCallbackMayDestroyIt) {
  EventLoop loop;
  auto timer = std::make_unique<Timer>(loop);
  int count = 0;
  timer->Every(milliseconds(1), [&, payload = std::vector<int>(1000, 7)] {
    timer.reset();
    count += payload[999];
  });
  loop.RunFor(milliseconds(30));
  EXPECT_EQ(count, 7);
}

TEST(Timer, DestroyedAndReplacedTimersAreSilent) {
  EventLoop loop;
  int count = 0;
  {
    Timer timer(loop);
    timer.After(milliseconds(1), [&] { count += 100; });
  }
  Timer timer(loop);
  timer.After(milliseconds(1), [&] { count += 100; });
  timer.After(milliseconds(2), [&] { ++count; });
  loop.RunFor(milliseconds(30));
  EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace shoal::net
