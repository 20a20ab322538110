#include "net/event_loop.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <utility>

#include "net/event_loop_impl.h"

namespace shoal::net {

void EventLoop::Impl::WaitForSignal() {
  signals->async_wait([this](boost::system::error_code error, int signal) {
    if (error) return;
    WaitForSignal();
    if (on_terminate) on_terminate(signal);
  });
}

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::Run() {
  impl_->context.restart();
  impl_->context.run();
}

void EventLoop::RunFor(Duration limit) {
  impl_->context.restart();
  impl_->context.run_for(limit);
}

void EventLoop::Stop() { impl_->context.stop(); }

void EventLoop::Post(std::function<void()> fn) { asio::post(impl_->context, std::move(fn)); }

int64_t EventLoop::NowUs() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void EventLoop::OnTerminate(std::function<void(int signal)> fn) {
  impl_->on_terminate = std::move(fn);
  if (impl_->signals) return;
  impl_->signals.emplace(impl_->context, SIGTERM, SIGINT);
  impl_->WaitForSignal();
}

struct Timer::State : std::enable_shared_from_this<Timer::State> {
  explicit State(EventLoop& loop) : timer(loop.impl().context) {}

  void Wait() {
    timer.async_wait([self = shared_from_this(), at = generation](boost::system::error_code error) {
      if (error || at != self->generation) return;
      self->Tick();
    });
  }

  void Tick() {
    if (period.count() == 0) {
      const std::function<void()> once = std::exchange(fn, nullptr);
      once();
      return;
    }
    // Whole periods from the last due time, the next of them that is not over yet.
    const auto late = std::chrono::steady_clock::now() - timer.expiry();
    timer.expires_at(timer.expiry() + period * (1 + late / period));
    Wait();
    // A copy: the callback may replace or cancel what it is called from.
    const std::function<void()> again = fn;
    again();
  }

  void Start(Duration delay, Duration repeat, std::function<void()> callback) {
    ++generation;
    period = repeat;
    fn = std::move(callback);
    timer.expires_after(delay);
    Wait();
  }

  void Cancel() {
    ++generation;
    fn = nullptr;
    timer.cancel();
  }

  asio::steady_timer timer;
  uint64_t generation = 0;  // Of After, Every and Cancel: callbacks of older ones are void.
  std::chrono::steady_clock::duration period{0};
  std::function<void()> fn;
};

Timer::Timer(EventLoop& loop) : state_(std::make_shared<State>(loop)) {}
Timer::~Timer() { state_->Cancel(); }

void Timer::After(Duration delay, std::function<void()> fn) {
  state_->Start(delay, Duration(0), std::move(fn));
}

void Timer::Every(Duration period, std::function<void()> fn) {
  state_->Start(period, std::max(period, Duration(1)), std::move(fn));
}

void Timer::Cancel() { state_->Cancel(); }
bool Timer::active() const { return state_->fn != nullptr; }

}  // namespace shoal::net
