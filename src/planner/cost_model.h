// How long an executor takes for a step, fitted from measurements.
//
// The model is the additive form of a roofline. A step touches `bytes` of memory once (weights, and
// the KV of every row) and does `flops`:
//
//   seconds = fixed_s + bytes * s_per_byte + flops * s_per_flop
//
// fixed_s is paid per run whatever is in it (dispatch, frames, glue), so rows that run together
// share it, and they share the weights' bytes; flops grow with rows. It over-estimates by at most a
// factor of two where memory and arithmetic overlap, and is linear, so that it can be fitted on
// line and summed over blocks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace shoal::planner {

struct StepWork {
  double bytes = 0;
  double flops = 0;
};

struct ExecutorSpeed {
  double fixed_s = 0.002;
  double s_per_byte = 1e-10;  // 10 GB/s
  double s_per_flop = 2e-11;  // 50 GFLOP/s

  double Seconds(const StepWork& work) const {
    return fixed_s + work.bytes * s_per_byte + work.flops * s_per_flop;
  }
  bool operator==(const ExecutorSpeed&) const = default;
};

// What was measured once: a probe's run or a real step.
struct StepTime {
  StepWork work;
  double seconds = 0;
};

struct SpeedOptions {
  // Weight that an observation keeps per later one: 0.98 remembers about 50.
  double forgetting = 0.98;
  // The prior weighs as much as this many observations, for ever: it keeps apart what the steps
  // seen so far cannot tell apart (one span always has the same bytes).
  double prior_weight = 1;
};

// A running estimate of one volunteer's ExecutorSpeed.
//
// Weighted least squares on relative errors over exponentially forgotten observations, tied to the
// prior (ridge towards it, each coefficient relative to the prior's). Outliers (a collected heap, a
// tab that was hidden for a moment) weigh less the farther they lie outside the usual scatter
// (Huber's weights; the scatter is itself tracked). Six in a row on one side are no outliers but a
// new regime (throttled, plugged in): then what was known is largely forgotten. Coefficients never
// become negative.
class SpeedEstimate {
 public:
  explicit SpeedEstimate(const ExecutorSpeed& prior, const SpeedOptions& options = {});

  // False, and nothing changes, when the numbers cannot be a measurement: not finite, negative, or
  // seconds outside (0, 3600].
  bool Observe(const StepTime& observed);

  const ExecutorSpeed& speed() const { return speed_; }
  uint64_t observations() const { return observations_; }
  // Mean absolute error of the predictions made just before each of the last 64 observations, as a
  // fraction of the time measured (MAPE); 0 before the first.
  double PredictionError() const;

 private:
  using Vector = std::array<double, 3>;
  void TrackScatter(double error);
  void Solve();

  static constexpr size_t kWindow = 64;
  SpeedOptions options_;
  Vector prior_;  // fixed_s, s_per_byte, s_per_flop.
  ExecutorSpeed speed_;
  // Normal equations in units of the prior's coefficients.
  std::array<Vector, 3> moments_{};
  Vector targets_{};
  double scatter_;     // Usual size of ln(measured / predicted).
  int same_side_ = 0;  // Signed count of far errors in a row.
  uint64_t observations_ = 0;
  std::array<double, kWindow> errors_{};
};

// The speed that fits a probe's runs best; `typical` decides what they leave open. Runs that cannot
// be measurements are passed over; without any the answer is `typical`.
ExecutorSpeed FitProbe(std::span<const StepTime> runs, const ExecutorSpeed& typical);

}  // namespace shoal::planner
