// The native volunteer: speaks the wire protocol with a coordinator (docs/protocol.md), loads what
// it is assigned, keeps sessions and runs their steps on the CPU engine. What a tab does, without a
// browser (web/volunteer/node.ts).
//
//   frames in --> session rules (at once) --> work queue (in order) --> work thread --> frames out
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/event_loop.h"
#include "volunteer/blob_cache.h"
#include "volunteer/link.h"
#include "volunteer/stage_fetch.h"
#include "volunteer/stage_runner.h"
#include "wire/frames.h"

namespace shoal::volunteer {

struct NodeOptions {
  std::string url;  // The coordinator's, as people write it: http, https, ws or wss.
  std::string join_secret;
  std::string resume_token;  // By which a coordinator knows it from before; empty: it is new.
  std::string agent = "shoal (native)";
  std::string platform;
  std::string ca_file;                        // PEM; empty: the system's certificates.
  uint64_t memory_bytes = uint64_t{4} << 30;  // For weights, KV and buffers together.
  size_t threads = 1;
  EngineChoices engine;
  std::vector<wire::Measure> measures;  // What the profile says; ProbeMeasures makes some.
  BlobCache::Options cache;
};

enum class NodeState {
  kConnecting,
  kConnected,     // The coordinator has given a number.
  kReconnecting,  // Lost; the detail says why and when the next attempt starts.
  kRefused,       // For good, the detail says why: nothing follows.
  kStopped,       // After Leave: nothing follows.
};

// Since the start.
struct NodeCounters {
  uint64_t steps = 0;
  uint64_t rows = 0;
  uint64_t tokens = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  uint64_t compute_us = 0;
};

// Called from the loop. The node must not be destroyed from within.
struct NodeEvents {
  std::function<void(NodeState state, const std::string& detail)> on_state = [](auto, auto&) {};
  std::function<void(const LoadProgress&)> on_progress = [](auto&) {};
  std::function<void(uint32_t first, uint32_t last, uint64_t weight_bytes)> on_holding =
      [](auto, auto, auto) {};
  std::function<void(const Error&)> on_problem = [](auto&) {};
};

class Node {
 public:
  // Begins to connect. kInvalidArgument for a URL or options that cannot be, or what
  // BlobCache::Open says. `loop` outlives the node.
  static Result<std::unique_ptr<Node>> Start(net::EventLoop& loop, NodeOptions options,
                                             NodeEvents events);
  ~Node();

  // Tells the coordinator, waits a moment for its bye, and calls `on_left`.
  void Leave(const std::string& reason, std::function<void()> on_left);

  uint32_t number() const;  // 0 before the coordinator has given one.
  const NodeCounters& counters() const;

 private:
  struct Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::volunteer
