#include "swarm/forms.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "swarm/speeds.h"

namespace shoal::swarm {

namespace {

// The context at which forms are compared: enough that KV counts, and weights count more.
constexpr uint32_t kTypicalContext = 512;

bool RunsF16(std::span<const wire::Measure> measures) {
  return std::ranges::any_of(measures, [](const wire::Measure& measure) {
    return measure.name == "activations.f16" && measure.value == 1;
  });
}

}  // namespace

std::vector<Choice> ChooseForms(std::span<const Form> forms, std::string_view executor,
                                std::span<const wire::Measure> measures) {
  const bool runs_f16 = RunsF16(measures);
  const std::array<RowCount, 1> row = {{{.position = kTypicalContext, .count = 1}}};
  std::vector<std::tuple<double, bool, uint32_t>> order;
  std::vector<planner::ExecutorSpeed> speeds;
  for (uint32_t i = 0; i < forms.size(); ++i) {
    const Form& form = forms[i];
    speeds.push_back(ClaimedSpeed(executor, form.weights, measures));
    if (form.is_f16 && !runs_f16) continue;
    const planner::Span all{0, static_cast<uint32_t>(form.blocks.size())};
    const double seconds = speeds.back().Seconds(WorkOf(form.blocks, all, row));
    order.emplace_back(seconds, !form.is_f16, i);
  }
  std::ranges::sort(order);
  std::vector<Choice> choices;
  for (const auto& [seconds, is_wide, form] : order) choices.push_back({form, speeds[form]});
  return choices;
}

}  // namespace shoal::swarm
