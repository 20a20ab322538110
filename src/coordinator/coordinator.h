// The coordinator: one process that serves the pages, the pack, the volunteers' sockets and the
// API.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/event_loop.h"

namespace shoal {

struct CoordinatorOptions {
  std::filesystem::path pack;
  std::filesystem::path pages;  // The built web pages; need not exist.
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0: any free one.
  uint32_t stages_min = 1;
  uint32_t positions = 0;  // Context served; 0: the model's, at most 8192.
  bool f16_hops = false;   // Hidden states cross the network in half precision.
  std::string trace;       // A file to append the trace to; empty: none.
};

class Coordinator {
 public:
  // Opens the pack and listens. `loop` must outlive the coordinator.
  static Result<std::unique_ptr<Coordinator>> Start(net::EventLoop& loop,
                                                    const CoordinatorOptions& options);
  ~Coordinator();

  uint16_t port() const;

  // Finishes the answers under way (for at most half a minute), says goodbye to the volunteers and
  // calls `on_stopped`.
  void Stop(std::function<void()> on_stopped);

 private:
  struct Impl;
  explicit Coordinator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal
