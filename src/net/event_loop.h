// The one thread that a program's sockets, timers and callbacks share.
//
// Everything in net/ belongs to the loop it was made with: call it from the loop's thread only, and
// its callbacks come on that thread, one at a time. EventLoop::Post and Stop are the exceptions;
// any thread may call them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace shoal::net {

using Duration = std::chrono::microseconds;

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();  // After everything made with the loop.
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs callbacks until Stop is called. Can be run again afterwards.
  void Run();
  // Runs callbacks for at most `limit` or until Stop is called, whichever is earlier.
  void RunFor(Duration limit);
  // Makes Run return after the callback that runs now.
  void Stop();
  // Calls `fn` from the loop, later: never from within Post, and in the order of the calls.
  void Post(std::function<void()> fn);

  // A clock that never goes back, in microseconds from an arbitrary start.
  int64_t NowUs() const;

  // Calls `fn` with SIGTERM or SIGINT when the process gets one, in place of its death; each time.
  void OnTerminate(std::function<void(int signal)> fn);

  // Asio's part; defined in event_loop_impl.h for the sources of net/.
  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// Calls a function later, once or again and again. One callback at a time: a new call of After or
// Every replaces the one before. The destructor cancels; the callback may destroy the timer.
class Timer {
 public:
  explicit Timer(EventLoop& loop);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void After(Duration delay, std::function<void()> fn);
  // First after one period. Ticks that were missed while the loop was busy are left out.
  void Every(Duration period, std::function<void()> fn);
  void Cancel();
  bool active() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace shoal::net
