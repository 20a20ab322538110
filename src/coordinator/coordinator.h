// The coordinator: one process that serves the pages, the pack, the volunteers' sockets and the
// API.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "coordinator/gate/api_keys.h"
#include "net/event_loop.h"

namespace shoal {

// docs/operating.md explains each.
struct CoordinatorLimits {
  uint32_t connections = 4096;
  uint32_t connections_per_peer = 256;
  uint32_t volunteers = 1024;
  uint32_t answers = 64;  // Being made or waiting, each choice by itself.
  uint32_t answers_per_client = 32;
  uint32_t requests_per_minute = 600;  // Of one client; 0: no limit.
  uint32_t joins_per_minute = 120;     // From one address; 0: no limit.
};

struct CoordinatorOptions {
  std::filesystem::path pack;
  std::filesystem::path pages;  // The built web pages; need not exist.
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0: any free one.
  // Listens on 127.0.0.1 as well, at a free port and without TLS: for this machine's own volunteer.
  bool with_loopback = false;
  // PEM files; both or none.
  std::string tls_certificate;
  std::string tls_key;
  std::vector<std::string> trusted_proxies;  // Addresses and ranges.
  std::vector<std::string> allowed_origins;  // Beyond the own one.
  ApiKeys api_keys;                          // None: everybody may ask.
  std::string weights;      // The pack's sets that are served, as ServedForms() names them.
  std::string join_secret;  // Empty: everybody may lend.
  CoordinatorLimits limits;
  uint32_t stages_min = 1;
  // Least volunteers over which every layer's experts are divided; 0: only where memory demands it.
  uint32_t expert_holders = 0;
  uint32_t positions = 0;         // Context served; 0: the model's, at most 8192.
  bool f16_hops = false;          // Hidden states cross the network in half precision.
  std::filesystem::path journal;  // A file for what outlives the process; empty: nothing does.
  std::string trace;              // A file to append the trace to; empty: none.
};

class Coordinator {
 public:
  // Opens the pack and listens. `loop` must outlive the coordinator.
  static Result<std::unique_ptr<Coordinator>> Start(net::EventLoop& loop,
                                                    const CoordinatorOptions& options);
  ~Coordinator();

  uint16_t port() const;
  uint16_t loopback_port() const;  // Of options.with_loopback.

  // Finishes the answers under way (for at most half a minute), says goodbye to the volunteers and
  // calls `on_stopped`.
  void Stop(std::function<void()> on_stopped);

 private:
  struct Impl;
  explicit Coordinator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal
