// GET /metrics: what the coordinator has done since it started, and what the swarm is, in the text
// format of Prometheus (0.0.4). docs/operating.md lists the series.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "coordinator/api/answer.h"
#include "coordinator/hub/hub.h"

namespace shoal {

// Durations by size; the last bucket, without a bound, is the count.
class DurationHistogram {
 public:
  static constexpr std::array<double, 10> kBoundsSeconds = {0.05, 0.1, 0.25, 0.5, 1,
                                                            2.5,  5,   10,   30,  120};
  void Add(double seconds);
  // As lines of the series `name`.
  void Write(std::string_view name, std::string& out) const;

 private:
  std::array<uint64_t, kBoundsSeconds.size() + 1> counts_ = {};  // Not cumulative.
  double sum_ = 0;
};

// What is so now.
struct Gauges {
  std::string model;
  int64_t started_unix_s = 0;
  size_t connections = 0;                                       // With volunteers' sockets.
  std::map<swarm::VolunteerState, size_t> volunteers_by_state;  // A state may be missing.
  bool is_available = false;
  uint64_t missing_bytes = 0;
  size_t answers = 0;  // Being made or waiting.
  double tokens_per_second = 0;
  // Of one session alone, and of the cost model; 0 where nothing is known yet.
  double predicted_token_s = 0;
  double measured_token_s = 0;
  double step_error = 0;    // Mean error of predicted step times, as a part of them.
  uint64_t kept_bytes = 0;  // Inputs of stages, for replays.
};
// What of them the hub knows.
Gauges ReadGauges(const Hub& hub);

class Metrics {
 public:
  void OnAnswer(const api::AnswerRecord& record);

  std::string Text(const Gauges& gauges) const;

 private:
  std::map<int, uint64_t> answers_;  // By status.
  uint64_t prompt_tokens_ = 0;
  uint64_t completion_tokens_ = 0;
  DurationHistogram first_token_;
  DurationHistogram total_;
};

}  // namespace shoal
