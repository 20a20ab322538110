#include "coordinator/admin/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace shoal {
namespace {

constexpr double kMicrosPerSecond = static_cast<double>(kSecond);

// Begins a series.
void Describe(std::string_view name, std::string_view type, std::string_view help,
              std::string& out) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

template <typename T>
void Single(std::string_view name, std::string_view type, std::string_view help, T value,
            std::string& out) {
  Describe(name, type, help, out);
  out += fmt::format("{} {}\n", name, value);
}

// A label's value, as the format wants it.
std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

void WriteSwarm(const Gauges& gauges, std::string& out) {
  using State = swarm::VolunteerState;
  constexpr std::array<std::pair<State, std::string_view>, 3> kStates = {
      {{State::kSpare, "spare"}, {State::kLoading, "loading"}, {State::kReady, "ready"}}};
  Describe("shoal_volunteers", "gauge", "Volunteers, by state.", out);
  for (const auto& [state, name] : kStates) {
    const auto at = gauges.volunteers_by_state.find(state);
    const size_t count = at == gauges.volunteers_by_state.end() ? 0 : at->second;
    out += fmt::format("shoal_volunteers{{state=\"{}\"}} {}\n", name, count);
  }
  Single("shoal_available", "gauge", "1 when a request would be answered now.",
         gauges.is_available ? 1 : 0, out);
  Single("shoal_missing_bytes", "gauge", "Weights not loaded, or memory that is lacking.",
         gauges.missing_bytes, out);
  Single("shoal_answers", "gauge", "Answers being made or waiting.", gauges.answers, out);
  Single("shoal_tokens_per_second", "gauge", "Over the last ten seconds.", gauges.tokens_per_second,
         out);
  Single("shoal_token_seconds_predicted", "gauge",
         "From one token to the next of a session alone, by the plan.", gauges.predicted_token_s,
         out);
  Single("shoal_token_seconds_measured", "gauge", "The same, as it was lately.",
         gauges.measured_token_s, out);
  Single("shoal_step_prediction_error", "gauge",
         "Mean error of predicted step times, as a part of the times measured.", gauges.step_error,
         out);
  Single("shoal_kept_bytes", "gauge", "Inputs of stages that are kept to replay a lost one.",
         gauges.kept_bytes, out);
}

}  // namespace

void DurationHistogram::Add(double seconds) {
  const auto bound = std::ranges::lower_bound(kBoundsSeconds, seconds);
  ++counts_.at(static_cast<size_t>(bound - kBoundsSeconds.begin()));
  sum_ += seconds;
}

void DurationHistogram::Write(std::string_view name, std::string& out) const {
  uint64_t count = 0;
  for (size_t at = 0; at < kBoundsSeconds.size(); ++at) {
    count += counts_.at(at);
    out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, kBoundsSeconds.at(at), count);
  }
  count += counts_.back();
  out += fmt::format("{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, count, name,
                     sum_, name, count);
}

Gauges ReadGauges(const Hub& hub) {
  const swarm::Swarm& swarm = hub.swarm();
  Gauges gauges;
  for (const auto& [node, volunteer] : swarm.volunteers()) {
    ++gauges.volunteers_by_state[volunteer.state];
  }
  gauges.is_available = hub.Availability().has_value();
  gauges.missing_bytes = swarm.MissingBytes();
  gauges.answers = swarm.sessions().size();
  gauges.tokens_per_second = swarm.TokensPerSecond(hub.Now());
  gauges.predicted_token_s = swarm.predicted_token_s();
  gauges.measured_token_s = swarm.measured_token_s();
  gauges.kept_bytes = swarm.kept_bytes();
  double errors = 0;
  size_t measured = 0;
  for (const auto& [node, volunteer] : swarm.volunteers()) {
    if (volunteer.speed.observations() == 0) continue;
    errors += volunteer.speed.PredictionError();
    ++measured;
  }
  gauges.step_error = measured == 0 ? 0 : errors / static_cast<double>(measured);
  return gauges;
}

void Metrics::OnAnswer(const api::AnswerRecord& record) {
  ++answers_[record.status];
  prompt_tokens_ += record.prompt_tokens;
  completion_tokens_ += record.completion_tokens;
  if (record.first_token) {
    first_token_.Add(static_cast<double>(*record.first_token) / kMicrosPerSecond);
  }
  if (record.status == 200) total_.Add(static_cast<double>(record.total) / kMicrosPerSecond);
}

std::string Metrics::Text(const Gauges& gauges) const {
  std::string out;
  Describe("shoal_info", "gauge", "What is served.", out);
  out += fmt::format("shoal_info{{model=\"{}\"}} 1\n", Escaped(gauges.model));
  Single("process_start_time_seconds", "gauge", "Since the Unix epoch.", gauges.started_unix_s,
         out);
  Single("shoal_connections", "gauge", "Open ones, volunteers' sockets included.",
         gauges.connections, out);
  WriteSwarm(gauges, out);
  Describe("shoal_requests_total", "counter",
           "Requests for an answer, by status; 499: the client left.", out);
  for (const auto& [status, count] : answers_) {
    out += fmt::format("shoal_requests_total{{status=\"{}\"}} {}\n", status, count);
  }
  Single("shoal_prompt_tokens_total", "counter", "Tokens of prompts.", prompt_tokens_, out);
  Single("shoal_completion_tokens_total", "counter", "Tokens made.", completion_tokens_, out);
  constexpr const char* kFirst = "shoal_first_token_seconds";
  Describe(kFirst, "histogram", "From the request to its first token.", out);
  first_token_.Write(kFirst, out);
  constexpr const char* kTotal = "shoal_answer_seconds";
  Describe(kTotal, "histogram", "From the request to its end, of those that came whole.", out);
  total_.Write(kTotal, out);
  return out;
}

}  // namespace shoal
