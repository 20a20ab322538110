#include "planner/explain.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/str_cat.h"
#include "planner/replicas.h"

namespace shoal::planner {

namespace {

constexpr size_t kPipelinesLookedAt = 4;  // For a reason; the others are like them.
constexpr double kSlower = 1.25;          // From here on slowness is the reason.

// What volunteer v adds to a stream on this span: its steps, and its way to and from.
double StreamSeconds(const Costs& costs, Index v, Span span) {
  return costs.StageLatency(v, span.first, span.last, 0) + costs.RelayIn(v, span.first, 0) +
         costs.RelayOut(v, span.last, 0);
}

std::string Blocks(Span span) { return StrCat("blocks ", span.first, " to ", span.last - 1); }

std::string Padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

// "blocks 0 to 3         1.2 GB    volunteer 4"; replicas of other forms with what they need.
std::string DescribeStage(const Problem& problem, const PlacedSpan& stage) {
  const auto bytes_at = [&](NodeId node) {
    const auto at = std::ranges::find(problem.volunteers, node, &Volunteer::node);
    return BytesNeeded(BlocksOf(problem, at->form), stage.span, problem.limits);
  };
  const uint64_t bytes = bytes_at(stage.nodes.front());
  std::string nodes;
  for (const NodeId node : stage.nodes) {
    nodes += StrCat(nodes.empty() ? "" : ", ", node.value);
    const uint64_t there = bytes_at(node);
    if (there != bytes) nodes += StrCat(" (", FormatBytes(static_cast<double>(there)), ")");
  }
  return StrCat(Padded(Blocks(stage.span), 20), Padded(FormatBytes(static_cast<double>(bytes)), 10),
                stage.nodes.size() == 1 ? "volunteer " : "volunteers ", nodes);
}

std::string Counted(uint32_t count, std::string_view noun) {
  return StrCat(count, " ", noun, count == 1 ? "" : "s");
}

std::string Significant(double value) {
  char text[32];
  const int digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

}  // namespace

std::string FormatSeconds(double seconds) {
  if (!std::isfinite(seconds)) return "for ever";
  if (seconds >= 120) return StrCat(Significant(seconds / 60), " min");
  if (seconds >= 1) return StrCat(Significant(seconds), " s");
  if (seconds >= 1e-3) return StrCat(Significant(seconds * 1e3), " ms");
  return StrCat(Significant(seconds * 1e6), " us");
}

std::string FormatBytes(double bytes) {
  if (bytes >= 1e9) return StrCat(Significant(bytes / 1e9), " GB");
  if (bytes >= 1e6) return StrCat(Significant(bytes / 1e6), " MB");
  return StrCat(Significant(bytes / 1e3), " kB");
}

Reasons::Reasons(const Draft& draft) : costs_(draft.costs()) {
  const size_t pipelines = std::min(draft.pipelines().size(), kPipelinesLookedAt);
  for (size_t p = 0; p < pipelines; ++p) {
    const DraftPipeline& pipeline = draft.pipelines()[p];
    for (const size_t s : WeakestStages(costs_, pipeline)) {
      const auto& [span, holders] = pipeline[s];
      const Index fastest = *std::ranges::min_element(
          holders, {}, [&](Index w) { return StreamSeconds(costs_, w, span); });
      stages_.push_back({span, fastest, StreamSeconds(costs_, fastest, span)});
    }
  }
}

LeftOut Reasons::Of(Index v) const {
  const Volunteer& volunteer = costs_.problem().volunteers[v];
  const auto stage = std::ranges::find_if(
      stages_, [&](const Stage& weak) { return costs_.Fits(v, weak.span.first, weak.span.last); });
  if (stage == stages_.end()) {
    uint64_t smallest = UINT64_MAX;
    for (const Stage& weak : stages_) {
      smallest = std::min(smallest, costs_.BytesNeeded(v, weak.span.first, weak.span.last));
    }
    return {volunteer.node, LeftOutReason::kTooSmall,
            StrCat("its ", FormatBytes(static_cast<double>(volunteer.memory_bytes)),
                   " have no room for a span of the plan, of which the smallest needs ",
                   FormatBytes(static_cast<double>(smallest)))};
  }
  const Span span = stage->span;
  const double load_s = costs_.LoadSeconds(v, span.first, span.last);
  if (load_s > volunteer.stay_s) {
    return {volunteer.node, LeftOutReason::kStaysTooShort,
            StrCat("it stays ", FormatSeconds(volunteer.stay_s), " on average, and ", Blocks(span),
                   " would take it ", FormatSeconds(load_s), " to load")};
  }
  const double own = StreamSeconds(costs_, v, span);
  const double theirs = stage->fastest_s;
  const uint32_t other = costs_.problem().volunteers[stage->fastest].node.value;
  if (own > kSlower * theirs) {
    return {volunteer.node, LeftOutReason::kTooSlow,
            StrCat("it would slow everyone down: ", Blocks(span), " take it ", FormatSeconds(own),
                   " a token with the way there, volunteer ", other, " ", FormatSeconds(theirs))};
  }
  return {volunteer.node, LeftOutReason::kNotNeeded,
          StrCat("the plan carries the ",
                 Counted(costs_.problem().workload.sessions, "expected session"),
                 " without it; it could take over ", Blocks(span), " from volunteer ", other)};
}

std::string Describe(const Problem& problem, const PoolPlan& plan) {
  std::string text;
  if (!plan.complete()) {
    text = "no plan:";
    if (plan.missing_devices > 0) {
      text += StrCat(" ", Counted(plan.missing_devices, "more volunteer"),
                     plan.missing_devices == 1 ? " is needed;" : " are needed;");
    }
    if (plan.missing_bytes > 0) {
      text += StrCat(" about ", FormatBytes(static_cast<double>(plan.missing_bytes)),
                     " of memory are missing;");
    }
    text.back() = '\n';
    return text;
  }
  for (size_t p = 0; p < plan.pipelines.size(); ++p) {
    text += StrCat("pipeline ", p + 1, "\n");
    for (const PlacedSpan& stage : plan.pipelines[p].stages) {
      text += StrCat("  ", DescribeStage(problem, stage), "\n");
    }
  }
  const Prediction& expected = plan.prediction;
  text += StrCat("expected: first token after ", FormatSeconds(expected.first_token_s), ", then ",
                 FormatSeconds(expected.token_s), " a token; ", Significant(expected.tokens_per_s),
                 " tokens/s for ", Counted(problem.workload.sessions, "session"), "; ",
                 FormatBytes(static_cast<double>(expected.bytes_to_move)), " to load in ",
                 FormatSeconds(expected.move_s), "\n");
  for (const LeftOut& out : plan.left_out) {
    text += StrCat("left out: volunteer ", out.node.value, ": ", out.why, "\n");
  }
  return text;
}

}  // namespace shoal::planner
