#include "coordinator/hub/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <cerrno>
#include <cstring>

#include "base/str_cat.h"

namespace shoal {

namespace {
std::string Quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string(text));
}
}  // namespace

Result<Trace> Trace::Open(const std::string& path) {
  Trace trace;
  trace.file_.reset(std::fopen(path.c_str(), "a"));
  if (!trace.file_) {
    return Fail(Code::kPermissionDenied,
                StrCat("cannot write the trace to ", path, ": ", std::strerror(errno)));
  }
  return trace;
}

void Trace::Write(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), file_.get());
  std::fputc('\n', file_.get());
  std::fflush(file_.get());
}

void Trace::VolunteerJoined(Micros now, NodeId node, std::string_view executor,
                            uint64_t memory_bytes) {
  if (!enabled()) return;
  Write(fmt::format(R"({{"event":"joined","t":{},"node":{},"executor":{},"memory_bytes":{}}})", now,
                    node.value, Quoted(executor), memory_bytes));
}

void Trace::VolunteerLeft(Micros now, NodeId node) {
  if (!enabled()) return;
  Write(fmt::format(R"({{"event":"left","t":{},"node":{}}})", now, node.value));
}

void Trace::Assigned(Micros now, NodeId node, uint32_t generation, planner::Span span,
                     uint64_t bytes) {
  if (!enabled()) return;
  Write(fmt::format(
      R"({{"event":"assigned","t":{},"node":{},"generation":{},"first":{},"last":{},"bytes":{}}})",
      now, node.value, generation, span.first, span.last, bytes));
}

void Trace::Loaded(Micros now, NodeId node, const wire::Ready& ready) {
  if (!enabled()) return;
  Write(fmt::format(R"({{"event":"loaded","t":{},"node":{},"generation":{},"bytes_fetched":{}}})",
                    now, node.value, ready.generation, ready.bytes_fetched));
}

void Trace::SessionOpened(Micros now, SessionId session, size_t prompt_tokens,
                          uint32_t max_tokens) {
  if (!enabled()) return;
  Write(fmt::format(
      R"({{"event":"opened","t":{},"session":"{}","prompt_tokens":{},"max_tokens":{}}})", now,
      session.value, prompt_tokens, max_tokens));
}

void Trace::SessionRouted(Micros now, const swarm::SessionRouted& routed) {
  if (!enabled()) return;
  std::string stages;
  for (const swarm::RouteStage& stage : routed.stages) {
    stages += fmt::format(R"({}{{"node":{},"first":{},"last":{},"kept":{},"copied":{}}})",
                          stages.empty() ? "" : ",", stage.node.value, stage.span.first,
                          stage.span.last, stage.kept, stage.copied);
  }
  Write(fmt::format(
      R"({{"event":"routed","t":{},"session":"{}","epoch":{},"from":{},"stages":[{}]}})", now,
      routed.session.value, routed.epoch.value, routed.from, stages));
}

void Trace::StepDone(Micros now, NodeId node, Micros sent, const wire::Report& report) {
  if (!enabled()) return;
  const auto spent = static_cast<Micros>(report.queue_us + report.compute_us + report.encode_us);
  Write(fmt::format(
      R"({{"event":"step","t":{},"node":{},"session":"{}","epoch":{},"position":{},"rows":{},)"
      R"("first":{},"last":{},"sent":{},"queue_us":{},"compute_us":{},"encode_us":{},)"
      R"("transfer_us":{},"bytes_in":{},"bytes_out":{}}})",
      now, node.value, report.session.value, report.epoch.value, report.position, report.rows,
      report.first, report.last, sent, report.queue_us, report.compute_us, report.encode_us,
      std::max<Micros>(now - sent - spent, 0), report.bytes_in, report.bytes_out));
}

void Trace::TokenMade(Micros now, const wire::Token& token) {
  if (!enabled()) return;
  Write(fmt::format(R"({{"event":"token","t":{},"session":"{}","epoch":{},"position":{}}})", now,
                    token.session.value, token.epoch.value, token.position));
}

void Trace::SessionEnded(Micros now, SessionId session, std::string_view how) {
  if (!enabled()) return;
  Write(fmt::format(R"({{"event":"ended","t":{},"session":"{}","how":{}}})", now, session.value,
                    Quoted(how)));
}

}  // namespace shoal
