#include "planner/cost_model.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace shoal::planner {

namespace {

constexpr double kSecondsMax = 3600;
constexpr double kScatterFirst = 0.1;
constexpr double kScatterMin = 0.01;
constexpr double kScatterRate = 0.05;     // Of the moving average.
constexpr double kHuber = 1.5;            // In units of scatter: farther out counts as an outlier.
constexpr int kRegimeRun = 6;             // Far errors on one side that make a new regime.
constexpr double kRegimeKeep = 0.1;       // What is kept of the old one.
constexpr double kCoefficientMin = 1e-3;  // Relative to the prior.
// A coefficient of 0 could never be scaled up again.
constexpr std::array<double, 3> kPriorMin = {1e-7, 1e-15, 1e-17};

bool IsMeasurement(const StepTime& observed) {
  return std::isfinite(observed.seconds) && observed.seconds > 0 &&
         observed.seconds <= kSecondsMax && std::isfinite(observed.work.bytes) &&
         observed.work.bytes >= 0 && std::isfinite(observed.work.flops) && observed.work.flops >= 0;
}

// Solves the symmetric system over those unknowns that are free; the others keep their values.
void SolveFree(std::array<std::array<double, 3>, 3> matrix, std::array<double, 3> right,
               const std::array<bool, 3>& free, std::array<double, 3>& unknowns) {
  for (size_t i = 0; i < 3; ++i) {
    if (free[i]) continue;
    for (size_t row = 0; row < 3; ++row) {
      if (row != i) right[row] -= matrix[row][i] * unknowns[i];
      matrix[row][i] = 0;
      matrix[i][row] = 0;
    }
    matrix[i][i] = 1;
    right[i] = unknowns[i];
  }
  // Positive definite, so elimination needs no pivoting.
  for (size_t pivot = 0; pivot < 3; ++pivot) {
    for (size_t row = pivot + 1; row < 3; ++row) {
      const double factor = matrix[row][pivot] / matrix[pivot][pivot];
      for (size_t col = pivot; col < 3; ++col) matrix[row][col] -= factor * matrix[pivot][col];
      right[row] -= factor * right[pivot];
    }
  }
  for (size_t row = 3; row-- > 0;) {
    for (size_t col = row + 1; col < 3; ++col) right[row] -= matrix[row][col] * unknowns[col];
    unknowns[row] = right[row] / matrix[row][row];
  }
}

}  // namespace

SpeedEstimate::SpeedEstimate(const ExecutorSpeed& prior, const SpeedOptions& options)
    : options_(options),
      prior_{std::max(prior.fixed_s, kPriorMin[0]), std::max(prior.s_per_byte, kPriorMin[1]),
             std::max(prior.s_per_flop, kPriorMin[2])},
      speed_{prior_[0], prior_[1], prior_[2]},
      scatter_(kScatterFirst) {
  CHECK(options.forgetting > 0 && options.forgetting <= 1 && options.prior_weight > 0);
}

bool SpeedEstimate::Observe(const StepTime& observed) {
  if (!IsMeasurement(observed)) return false;
  const double predicted = speed_.Seconds(observed.work);
  errors_[observations_ % kWindow] = std::abs(predicted - observed.seconds) / observed.seconds;
  ++observations_;

  const double error = std::log(observed.seconds / predicted);
  TrackScatter(error);
  const double far = std::abs(error) / (kHuber * scatter_);
  const double weight = far > 1 ? 1 / far : 1;
  const Vector parts = {prior_[0] / predicted, prior_[1] * observed.work.bytes / predicted,
                        prior_[2] * observed.work.flops / predicted};
  const double target = observed.seconds / predicted;
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      moments_[i][j] = options_.forgetting * moments_[i][j] + weight * parts[i] * parts[j];
    }
    targets_[i] = options_.forgetting * targets_[i] + weight * parts[i] * target;
  }
  Solve();
  return true;
}

void SpeedEstimate::TrackScatter(double error) {
  const double size = std::abs(error);
  const int side = error > 0 ? 1 : -1;
  if (size <= 2 * scatter_) {
    same_side_ = 0;
  } else {
    same_side_ = same_side_ * side > 0 ? same_side_ + side : side;
  }
  scatter_ =
      std::max(kScatterMin, scatter_ + kScatterRate * (std::min(size, 3 * scatter_) - scatter_));
  if (std::abs(same_side_) < kRegimeRun) return;
  same_side_ = 0;
  scatter_ = size;
  for (Vector& row : moments_) {
    for (double& value : row) value *= kRegimeKeep;
  }
  for (double& value : targets_) value *= kRegimeKeep;
}

void SpeedEstimate::Solve() {
  std::array<Vector, 3> matrix = moments_;
  Vector right = targets_;
  for (size_t i = 0; i < 3; ++i) {
    matrix[i][i] += options_.prior_weight;
    right[i] += options_.prior_weight;
  }
  Vector factors = {1, 1, 1};
  std::array<bool, 3> free = {true, true, true};
  for (int round = 0; round < 3; ++round) {
    SolveFree(matrix, right, free, factors);
    bool clamped = false;
    for (size_t i = 0; i < 3; ++i) {
      if (!free[i] || factors[i] >= kCoefficientMin) continue;
      factors[i] = kCoefficientMin;
      free[i] = false;
      clamped = true;
    }
    if (!clamped) break;
  }
  speed_ = {std::max(factors[0], kCoefficientMin) * prior_[0],
            std::max(factors[1], kCoefficientMin) * prior_[1],
            std::max(factors[2], kCoefficientMin) * prior_[2]};
}

double SpeedEstimate::PredictionError() const {
  const size_t count = std::min<uint64_t>(observations_, kWindow);
  if (count == 0) return 0;
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += errors_[i];
  return sum / static_cast<double>(count);
}

ExecutorSpeed FitProbe(std::span<const StepTime> runs, const ExecutorSpeed& typical) {
  // Errors are relative to the prediction, so the fit is repeated from where it arrived.
  ExecutorSpeed speed = typical;
  for (int round = 0; round < 4; ++round) {
    SpeedEstimate estimate(speed, {.forgetting = 1, .prior_weight = 0.01});
    for (const StepTime& run : runs) estimate.Observe(run);
    speed = estimate.speed();
  }
  return speed;
}

}  // namespace shoal::planner
