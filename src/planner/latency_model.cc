#include "planner/latency_model.h"

#include <cmath>

#include "base/check.h"

namespace shoal::planner {

namespace {

constexpr double kTokenBytes = 4;
constexpr double kFixedMin = 1e-9;  // No step takes no time: rates stay finite.

void Push(std::vector<double>& sums, double value) { sums.push_back(sums.back() + value); }

StepWork WorkOf(const BlockCost& block, const StepShape& rows) {
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

  chunk_flops_ = step_flops_ = {0};
  for (const BlockCost& block : problem.blocks) {
    Push(chunk_flops_, WorkOf(block, ChunkRows()).flops);
    Push(step_flops_, WorkOf(block, StepRows(1)).flops);
  }
  for (uint32_t cut = 0; cut <= block_count_; ++cut) {
    chunk_message_.push_back(MessageBytes(cut, cut == block_count_ ? 1 : chunk_rows_));
    step_message_.push_back(MessageBytes(cut, 1));
  }
  const uint32_t rows_most = std::min(work.sessions, work.rows_max);
  for (uint32_t rows = 1; rows <= rows_most; rows *= 2) AddShape(rows);
  for (uint32_t form = 0; form <= problem.other_forms.size(); ++form) {
    AddForm(BlocksOf(problem, form));
  }
  volunteers_.reserve(problem.volunteers.size());
  for (const Volunteer& volunteer : problem.volunteers) AddVolunteer(volunteer);
}

StepShape Costs::ChunkRows() const {
  return {chunk_rows_, 1, static_cast<double>(problem_->workload.prompt_tokens) / 2, 1};
}

StepShape Costs::StepRows(double rows) const {
  const Workload& work = problem_->workload;
  return {rows, rows, work.prompt_tokens + static_cast<double>(work.answer_tokens) / 2, rows};
}

double Costs::MessageBytes(uint32_t cut, double rows) const {
  const bool ids = cut == 0 || cut == block_count_;
  const double row_bytes =
      ids ? kTokenBytes : static_cast<double>(problem_->blocks[cut - 1].hidden_bytes);
  return rows * row_bytes + problem_->network.frame_bytes;
}

void Costs::AddShape(uint32_t rows) {
  const double answer = problem_->workload.answer_tokens;
  const double steps = (answer - 1) / answer;  // Decode steps per answered token.
  const double r = rows;
  Shape shape;
  shape.rows = rows;
  shape.busy_fixed = steps / r + chunks_ / answer;
  shape.latency_flops = shape.busy_flops = {0};
  for (const BlockCost& block : problem_->blocks) {
    const double step = WorkOf(block, StepRows(r)).flops;
    const double chunk = WorkOf(block, ChunkRows()).flops;
    Push(shape.latency_flops, steps * step + chunk / answer);
    Push(shape.busy_flops, steps * step / r + chunks_ * chunk / answer);
  }
  for (uint32_t cut = 0; cut <= block_count_; ++cut) {
    const double step = MessageBytes(cut, r);
    shape.latency_message.push_back(steps * step + chunk_message_[cut] / answer);
    shape.busy_message.push_back(steps * step / r + chunks_ * chunk_message_[cut] / answer);
  }
  shapes_.push_back(std::move(shape));
}

void Costs::AddForm(const std::vector<BlockCost>& blocks) {
  const double answer = problem_->workload.answer_tokens;
  const double steps = (answer - 1) / answer;
  Form form;
  form.weights = form.kv = {0};
  form.chunk_bytes = form.step_bytes = {0};
  std::vector<double> cold = {0};
  for (const BlockCost& block : blocks) {
    form.weights.push_back(form.weights.back() + block.weight_bytes);
    form.kv.push_back(form.kv.back() + block.kv_bytes_per_position);
    Push(form.chunk_bytes, WorkOf(block, ChunkRows()).bytes);
    Push(form.step_bytes, WorkOf(block, StepRows(1)).bytes);
    Push(cold, static_cast<double>(block.weight_bytes));
  }
  for (const Shape& shape : shapes_) {
    const double r = shape.rows;
    std::vector<double>& latency = form.latency_bytes.emplace_back(1, 0);
    std::vector<double>& busy = form.busy_bytes.emplace_back(1, 0);
    for (const BlockCost& block : blocks) {
      const double step = WorkOf(block, StepRows(r)).bytes;
      const double chunk = WorkOf(block, ChunkRows()).bytes;
      Push(latency, steps * step + chunk / answer);
      Push(busy, steps * step / r + chunks_ * chunk / answer);
    }
  }
  forms_.push_back(std::move(form));
  missing_.push_back(std::move(cold));
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
  known.form = volunteer.form;
  forms_[known.form].used = true;
  known.missing_at = volunteer.form;
  if (!volunteer.cached_bytes.empty()) {
    std::vector<double> missing = {0};
    for (uint32_t i = 0; i < block_count_; ++i) {
      const uint64_t bytes = BlocksOf(*problem_, volunteer.form)[i].weight_bytes;
      const uint64_t cached =
          i < volunteer.cached_bytes.size() ? std::min(volunteer.cached_bytes[i], bytes) : 0;
      missing.push_back(missing.back() + static_cast<double>(bytes - cached));
    }
    known.missing_at = static_cast<uint32_t>(missing_.size());
    missing_.push_back(std::move(missing));
  }
  volunteers_.push_back(known);
}

uint64_t Costs::LeastBytesNeeded(uint32_t a, uint32_t b) const {
  uint64_t least = UINT64_MAX;
  for (const Form& form : forms_) {
    if (form.used) least = std::min(least, BytesNeeded(form, a, b));
  }
  return least;
}

uint64_t Costs::MostBytesNeeded(uint32_t a, uint32_t b) const {
  uint64_t most = 0;
  for (const Form& form : forms_) {
    if (form.used) most = std::max(most, BytesNeeded(form, a, b));
  }
  return most;
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
