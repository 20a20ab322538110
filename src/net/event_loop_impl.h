// Asio's part of the event loop, for the sources of net/.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <functional>
#include <optional>

#include "net/event_loop.h"

namespace shoal::net {

namespace asio = boost::asio;

struct EventLoop::Impl {
  // One thread runs it; Post comes from others too, so Asio's locks stay on.
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::optional<asio::signal_set> signals;
  std::function<void(int)> on_terminate;

  void WaitForSignal();
};

}  // namespace shoal::net
