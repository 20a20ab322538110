#include "volunteer/divided_steps.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::volunteer {

namespace {

// Columns [from, from + width) of rows of `row_width`.
std::vector<float> Columns(std::span<const float> rows, size_t row_width, size_t from,
                           size_t width) {
  std::vector<float> columns;
  columns.reserve(rows.size() / row_width * width);
  for (size_t at = from; at < rows.size(); at += row_width) {
    const auto part = rows.subspan(at, width);
    columns.insert(columns.end(), part.begin(), part.end());
  }
  return columns;
}

Error TooLate(const ExpertExchange& exchange) {
  return {Code::kUnavailable, StrCat("after ", DividedSteps::kPatience / std::chrono::seconds(1),
                                     " seconds ", exchange.Missing())};
}

}  // namespace

struct DividedSteps::Step {
  explicit Step(net::EventLoop& loop) : deadline(loop) {}

  HeldStagePtr held;
  std::shared_ptr<const AdmittedStep> admitted;
  Done done;
  size_t part = 0;
  RunRequest request;          // Of the part under way: the groups that have not failed.
  std::vector<size_t> groups;  // Which of the admitted ones these are.
  std::vector<std::optional<Result<std::vector<float>>>> results;  // Of the admitted groups.
  std::vector<float> residual;  // Of the layer whose experts are asked.
  std::optional<ExpertExchange> exchange;
  StepCost cost;
  net::Timer deadline;
  bool is_late = false;

  const wire::StagePart& layer() const { return held->assign.parts[part]; }
};

void DividedSteps::Run(HeldStagePtr held, std::shared_ptr<const AdmittedStep> admitted,
                       WorkQueue::Done leave, Done done) {
  const auto step = std::make_shared<Step>(parts_.loop);
  step->held = std::move(held);
  step->admitted = std::move(admitted);
  step->done = std::move(done);
  step->request = step->admitted->request;
  step->results.resize(step->request.groups.size());
  for (size_t i = 0; i < step->request.groups.size(); ++i) step->groups.push_back(i);
  step->deadline.After(kPatience, [this, step = std::weak_ptr(step)] {
    const StepPtr late = step.lock();
    if (!late) return;
    late->is_late = true;
    if (late->exchange) Fail(late, TooLate(*late->exchange));
  });
  RunPart(step, std::move(leave));
}

void DividedSteps::RunPart(const StepPtr& step, WorkQueue::Done leave) {
  struct Ran {
    RunResult result;
    uint64_t us = 0;
  };
  const auto ran = std::make_shared<Ran>();
  parts_.work.Do(
      [step, ran, &clock = parts_.loop] {
        const int64_t from_us = clock.NowUs();
        ran->result = step->held->runner->Run(step->part, step->request);
        ran->us = static_cast<uint64_t>(clock.NowUs() - from_us);
      },
      [this, step, ran, leave = std::move(leave)] {
        step->cost.compute_us += ran->us;
        leave();
        PartRan(step, std::move(ran->result));
      });
}

// Takes failed groups out; the outputs of the others are what experts are asked about.
void DividedSteps::PartRan(const StepPtr& step, RunResult result) {
  const bool is_last = step->part + 1 == step->held->runner->parts();
  std::vector<size_t> alive;
  std::vector<RowGroup> groups;
  std::vector<float> rows;
  for (size_t i = 0; i < result.size(); ++i) {
    const size_t group = step->groups[i];
    if (!result[i] || is_last) {
      step->results[group] = std::move(result[i]);
      continue;
    }
    alive.push_back(group);
    groups.push_back(step->request.groups[i]);
    rows.insert(rows.end(), result[i]->begin(), result[i]->end());
  }
  step->groups = std::move(alive);
  step->request = {.groups = std::move(groups), .tokens = {}, .hidden = {}};
  if (step->groups.empty()) return Finish(step);
  const uint32_t hidden = step->held->assign.hidden;
  const uint32_t experts = step->layer().experts;
  const size_t width = 2 * size_t{hidden} + experts;
  step->residual = Columns(rows, width, 0, hidden);
  step->exchange.emplace(ExpertExchange::Shape{step->layer().block, hidden, experts},
                         Columns(rows, width, hidden, hidden),
                         Columns(rows, width, 2 * size_t{hidden}, experts));
  waiting_.push_back(step);
  if (step->is_late) return Fail(step, TooLate(*step->exchange));
  Ask(step);
}

void DividedSteps::Ask(const StepPtr& step) {
  // Without a table nobody can be asked yet.
  if (table_.generation == step->held->assign.generation) {
    auto requests = step->exchange->Ask(table_, next_request_);
    if (!requests) return Fail(step, requests.error());
    for (ExpertExchange::Request& request : *requests) {
      const auto sent = parts_.outbox.Send(std::move(request.rows), request.to);
      if (!sent) return Fail(step, sent.error());
      step->cost.bytes_out += *sent;
    }
  }
  Look(step);
}

void DividedSteps::Look(const StepPtr& step) {
  if (step->exchange->error()) return Fail(step, *step->exchange->error());
  if (!step->exchange->done()) return;
  std::erase(waiting_, step);
  GoOn(step);
}

// The next part's input: [residual, routed where it is read, expert_sum] of every row.
void DividedSteps::GoOn(const StepPtr& step) {
  const uint32_t hidden = step->held->assign.hidden;
  const std::vector<float> sum = step->exchange->Sum();
  const std::vector<float>& routed = step->exchange->routed();
  const size_t rows = sum.size() / hidden;
  const auto append = [&](const std::vector<float>& from, size_t row) {
    const auto begin = from.begin() + static_cast<ptrdiff_t>(row * hidden);
    step->request.hidden.insert(step->request.hidden.end(), begin, begin + hidden);
  };
  for (size_t row = 0; row < rows; ++row) {
    append(step->residual, row);
    if (step->layer().takes_routed) append(routed, row);
    append(sum, row);
  }
  step->exchange.reset();
  ++step->part;
  parts_.queue.PushAlways(0,
                          [this, step](WorkQueue::Done leave) { RunPart(step, std::move(leave)); });
}

// Of all groups that are left: their caches become what they were.
void DividedSteps::Fail(const StepPtr& step, const Error& error) {
  std::erase(waiting_, step);
  step->exchange.reset();
  for (const size_t group : step->groups) step->results[group] = std::unexpected(error);
  parts_.queue.PushAlways(0, [this, step](WorkQueue::Done leave) {
    parts_.work.Do(
        [step] {
          // A cache that was lost with its session needs no mending.
          for (const RowGroup& group : step->request.groups) {
            (void)step->held->runner->Rollback(group.kv, group.position);
          }
        },
        [this, step, leave = std::move(leave)] {
          leave();
          Finish(step);
        });
  });
}

void DividedSteps::Finish(const StepPtr& step) {
  step->deadline.Cancel();
  RunResult result;
  for (auto& one : step->results) {
    CHECK(one.has_value());
    result.push_back(std::move(*one));
  }
  std::exchange(step->done, nullptr)(std::move(result), step->cost);
}

void DividedSteps::OnTable(wire::ExpertTable table) {
  table_ = std::move(table);
  for (const StepPtr& step : std::vector(waiting_)) {
    if (step->exchange) Ask(step);
  }
}

void DividedSteps::OnSums(NodeId from, const wire::ExpertSums& sums) {
  const auto at = std::ranges::find_if(
      waiting_, [&](const StepPtr& step) { return step->exchange->OnSums(from, sums); });
  if (at != waiting_.end()) Look(StepPtr(*at));
}

void DividedSteps::OnRefusal(NodeId from, const wire::ExpertRefusal& refusal) {
  const auto at = std::ranges::find_if(
      waiting_, [&](const StepPtr& step) { return step->exchange->OnRefusal(from, refusal); });
  if (at != waiting_.end()) Look(StepPtr(*at));
}

void DividedSteps::DropUnwanted() {
  for (const StepPtr& step : std::vector(waiting_)) {
    const bool is_wanted = std::ranges::any_of(step->groups, [&](size_t index) {
      const StepGroup& group = step->admitted->groups[index];
      const Session& session = *group.session;
      return !session.gone && !session.cancelled && session.epoch == group.epoch;
    });
    if (!is_wanted) Fail(step, {Code::kCancelled, "nobody waits for this step any more"});
  }
}

void DividedSteps::DropAll() {
  for (const StepPtr& step : std::vector(waiting_)) {
    Fail(step, {Code::kCancelled, "the stage is not held any more"});
  }
}

}  // namespace shoal::volunteer
