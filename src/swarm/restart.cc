// After a restart of the coordinator the volunteers come back one by one, and hold what they held:
// the plan that ran before is taken up again, so that nothing is loaded anew.
#include <algorithm>

#include "base/str_cat.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

// Once everybody is back, or it is too late for the others.
void Swarm::TakeUpPlan(Micros now, Effects& out) {
  if (expecting_since_ == 0) expecting_since_ = std::max<Micros>(now, 1);
  const auto find = [&](const std::string& identity) {
    return std::ranges::find_if(volunteers_, [&](const auto& entry) {
      return entry.second.identity == identity && IsCountedOn(entry.second);
    });
  };
  planner::PoolPlan plan;
  Forms had;
  bool all_back = true;
  bool is_whole = true;
  uint32_t reached = 0;
  for (const ExpectedStage& stage : config_.expected) {
    if (stage.pipeline + 1 != plan.pipelines.size()) {
      is_whole = is_whole && stage.pipeline == plan.pipelines.size() &&
                 (reached == 0 || reached == config_.blocks.size());
      plan.pipelines.emplace_back();
      reached = 0;
    }
    is_whole = is_whole && stage.span.first == reached && stage.span.first < stage.span.last;
    reached = stage.span.last;
    planner::PlacedSpan& placed = plan.pipelines.back().stages.emplace_back();
    placed.span = stage.span;
    for (size_t i = 0; i < stage.holders.size(); ++i) {
      const auto at = find(stage.holders[i]);
      if (at == volunteers_.end()) {
        all_back = false;
      } else if (std::ranges::find(placed.nodes, at->first) == placed.nodes.end()) {
        placed.nodes.push_back(at->first);
        had[at->first] = i < stage.weights.size() ? FormWith(at->second, stage.weights[i])
                                                  : FormFor(at->second, Thrift::kNobody);
      }
    }
    is_whole = is_whole && !placed.nodes.empty();
  }
  is_whole = is_whole && reached == config_.blocks.size();
  if (!all_back && now - expecting_since_ < config_.expected_wait) return;
  expecting_ = false;
  // Who holds experts is decided anew.
  if (is_whole && ChooseRoles(now) && !UsesExpertHolders(plan)) {
    out.push_back(Note{"the plan from before the restart is taken up again"});
    Adopt(std::move(plan), had, now, out);
    AssignHoldings(now, out);
    replan_at_ = now + config_.join_settle;
  } else {
    Replan(now, out);
  }
  Admit(now, out);
}

}  // namespace shoal::swarm
