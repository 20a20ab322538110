// The trace: what happened, as one JSON object a line (docs/trace.md). Latency, bytes and busy time
// of every volunteer follow from it. Times are microseconds on the coordinator's clock.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "planner/plan.h"
#include "swarm/events.h"
#include "wire/frames.h"

namespace shoal {

class Trace {
 public:
  // A trace that goes nowhere.
  Trace() = default;
  // Appends to the file at `path`. kPermissionDenied when it cannot be opened.
  static Result<Trace> Open(const std::string& path);

  bool enabled() const { return file_ != nullptr; }

  void VolunteerJoined(Micros now, NodeId node, std::string_view executor, uint64_t memory_bytes);
  void VolunteerLeft(Micros now, NodeId node);
  void Assigned(Micros now, NodeId node, uint32_t generation, planner::Span span, uint64_t bytes);
  void Loaded(Micros now, NodeId node, const wire::Ready& ready);
  void SessionOpened(Micros now, SessionId session, size_t prompt_tokens, uint32_t max_tokens);
  void SessionRouted(Micros now, const swarm::SessionRouted& routed);
  // `sent`: when the step's frame was handed to the volunteer's socket.
  void StepDone(Micros now, NodeId node, Micros sent, const wire::Report& report);
  void TokenMade(Micros now, const wire::Token& token);
  void SessionEnded(Micros now, SessionId session, std::string_view how);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void Write(const std::string& line);

  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace shoal
