#include "planner/latency_model.h"

#include <cmath>

#include "base/check.h"

namespace shoal::planner {

namespace {

constexpr double kTokenBytes = 4;
constexpr double kFixedMin = 1e-9;  // No step takes no time: rates stay finite.

struct Rows {
  double all;        // Of the step.
  double last_only;  // Of blocks that run for the last row alone.
  double position;   // Mean context.
  double kv_reads;   // How often a position's KV is read: once per session.
};

StepWork WorkOf(const BlockCost& block, const Rows& rows) {
  const double through = block.last_row_only ? rows.last_only : rows.all;
  return {block.read_fraction * static_cast<double>(block.weight_bytes) +
              rows.kv_reads * rows.position * static_cast<double>(block.kv_bytes_per_position),
          through * (block.flops_per_token + rows.position * block.flops_per_token_position)};
}

}  // namespace

Costs::Costs(const Problem& problem)
    : problem_(&problem), block_count_(static_cast<uint32_t>(problem.blocks.size())) {
  const Workload& work = problem.workload;
  chunks_ = (work.prompt_tokens + work.chunk_rows - 1) / work.chunk_rows;
  chunk_rows_ = static_cast<double>(work.prompt_tokens) / chunks_;
  chunk_share_ = static_cast<double>(chunks_ - 1) / work.answer_tokens;

  const double prompt = work.prompt_tokens;
  const double context = prompt + static_cast<double>(work.answer_tokens) / 2;
  weights_ = {0};
  kv_ = {0};
  chunk_bytes_ = chunk_flops_ = step_bytes_ = step_flops_ = {0};
  std::vector<double> cold = {0};
  for (const BlockCost& block : problem.blocks) {
    const StepWork chunk = WorkOf(block, {chunk_rows_, 1, prompt / 2, 1});
    const StepWork step = WorkOf(block, {1, 1, context, 1});
    weights_.push_back(weights_.back() + block.weight_bytes);
    kv_.push_back(kv_.back() + block.kv_bytes_per_position);
    chunk_bytes_.push_back(chunk_bytes_.back() + chunk.bytes);
    chunk_flops_.push_back(chunk_flops_.back() + chunk.flops);
    step_bytes_.push_back(step_bytes_.back() + step.bytes);
    step_flops_.push_back(step_flops_.back() + step.flops);
    cold.push_back(cold.back() + static_cast<double>(block.weight_bytes));
  }
  missing_.push_back(std::move(cold));
  for (uint32_t cut = 0; cut <= block_count_; ++cut) {
    chunk_message_.push_back(MessageBytes(cut, cut == block_count_ ? 1 : chunk_rows_));
    step_message_.push_back(MessageBytes(cut, 1));
  }
  const uint32_t rows_most = std::min(work.sessions, work.rows_max);
  for (uint32_t rows = 1; rows <= rows_most; rows *= 2) AddShape(rows);
  volunteers_.reserve(problem.volunteers.size());
  for (const Volunteer& volunteer : problem.volunteers) AddVolunteer(volunteer);
}

double Costs::MessageBytes(uint32_t cut, double rows) const {
  const bool ids = cut == 0 || cut == block_count_;
  const double row_bytes =
      ids ? kTokenBytes : static_cast<double>(problem_->blocks[cut - 1].hidden_bytes);
  return rows * row_bytes + problem_->network.frame_bytes;
}

void Costs::AddShape(uint32_t rows) {
  const double answer = problem_->workload.answer_tokens;
  const double context = problem_->workload.prompt_tokens + answer / 2;
  const double steps = (answer - 1) / answer;  // Decode steps per answered token.
  const double r = rows;
  Shape shape;
  shape.rows = rows;
  shape.busy_fixed = steps / r + chunks_ / answer;
  shape.latency_bytes = shape.latency_flops = shape.busy_bytes = shape.busy_flops = {0};
  for (uint32_t i = 0; i < block_count_; ++i) {
    const StepWork step = WorkOf(problem_->blocks[i], {r, r, context, r});
    const StepWork chunk = {chunk_bytes_[i + 1] - chunk_bytes_[i],
                            chunk_flops_[i + 1] - chunk_flops_[i]};
    const auto push = [](std::vector<double>& sums, double value) {
      sums.push_back(sums.back() + value);
    };
    push(shape.latency_bytes, steps * step.bytes + chunk.bytes / answer);
    push(shape.latency_flops, steps * step.flops + chunk.flops / answer);
    push(shape.busy_bytes, steps * step.bytes / r + chunks_ * chunk.bytes / answer);
    push(shape.busy_flops, steps * step.flops / r + chunks_ * chunk.flops / answer);
  }
  for (uint32_t cut = 0; cut <= block_count_; ++cut) {
    const double step = MessageBytes(cut, r);
    shape.latency_message.push_back(steps * step + chunk_message_[cut] / answer);
    shape.busy_message.push_back(steps * step / r + chunks_ * chunk_message_[cut] / answer);
  }
  shapes_.push_back(std::move(shape));
}

void Costs::AddVolunteer(const Volunteer& volunteer) {
  Known known{};
  known.fixed_s = std::max(volunteer.speed.fixed_s, kFixedMin);
  known.s_per_byte = volunteer.speed.s_per_byte;
  known.s_per_flop = volunteer.speed.s_per_flop;
  known.latency_s = volunteer.link.latency_s;
  known.s_per_up = 1 / volunteer.link.up_bytes_per_s;
  known.s_per_down = 1 / volunteer.link.down_bytes_per_s;
  known.cold_risk = problem_->churn.cold_recovery_s / volunteer.stay_s;
  known.warm_risk = problem_->churn.warm_recovery_s / volunteer.stay_s;
  known.memory = volunteer.memory_bytes;
  known.cluster = volunteer.link.cluster;
  known.missing_at = 0;
  if (!volunteer.cached_bytes.empty()) {
    std::vector<double> missing = {0};
    for (uint32_t i = 0; i < block_count_; ++i) {
      const uint64_t bytes = problem_->blocks[i].weight_bytes;
      const uint64_t cached =
          i < volunteer.cached_bytes.size() ? std::min(volunteer.cached_bytes[i], bytes) : 0;
      missing.push_back(missing.back() + static_cast<double>(bytes - cached));
    }
    known.missing_at = static_cast<uint32_t>(missing_.size());
    missing_.push_back(std::move(missing));
  }
  volunteers_.push_back(known);
}

uint32_t Costs::FitEnd(Index v, uint32_t a) const {
  uint32_t low = a;  // Fits, or is empty.
  uint32_t high = block_count_ + 1;
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    (Fits(v, a, middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace shoal::planner
