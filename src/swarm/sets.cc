// Who has its blocks in which form (forms.h), and what follows for sessions.
//
// A volunteer gets the form that suits its device best among those of which its memory holds every
// single block. If the model does not fit so, spare volunteers are planned with in the form of
// least bytes, then everybody. Nobody who holds blocks gets them in another form for less.
//
// A model in two sets of weights is two models, almost. So a session keeps to the sets that its
// blocks had: routes through the same sets come first, whoever takes blocks over while answers go
// through them gets them as they were where its memory has room, replicas follow stages of their
// own set only, and KV is given to the same set alone.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {

uint64_t WeightBytes(const std::vector<planner::BlockCost>& blocks) {
  uint64_t bytes = 0;
  for (const planner::BlockCost& block : blocks) bytes += block.weight_bytes;
  return bytes;
}

}  // namespace

const std::vector<planner::BlockCost>& Swarm::BlocksOf(uint32_t form) const {
  return form == 0 ? config_.blocks : config_.other_forms[form - 1].blocks;
}

const std::string& Swarm::WeightsOf(uint32_t form) const {
  return form == 0 ? config_.weights : config_.other_forms[form - 1].weights;
}

bool Swarm::IsF16(uint32_t form) const { return form != 0 && config_.other_forms[form - 1].is_f16; }

// A set's number: that of the first form which has it.
uint32_t Swarm::SetOf(uint32_t form) const {
  uint32_t first = 0;
  while (WeightsOf(first) != WeightsOf(form)) ++first;
  return first;
}

bool Swarm::HasSets() const {
  return std::ranges::any_of(config_.other_forms,
                             [&](const Form& form) { return form.weights != config_.weights; });
}

void Swarm::KnowForms(Volunteer& volunteer, const VolunteerJoined& event) const {
  std::vector<Form> forms = {{.weights = config_.weights, .blocks = whole_blocks_}};
  forms.insert(forms.end(), whole_forms_.begin(), whole_forms_.end());
  volunteer.choices = ChooseForms(forms, event.executor, event.measures);
  volunteer.cached_bytes = event.cached_bytes;
}

// Experts that lie elsewhere are kept in the first set alone, and so is what asks them.
bool Swarm::MayHave(const Volunteer& volunteer, uint32_t form) const {
  return std::ranges::find(volunteer.choices, form, &Choice::form) != volunteer.choices.end() &&
         (divided_.empty() || SetOf(form) == 0);
}

// The form with which it is planned.
uint32_t Swarm::FormFor(const Volunteer& volunteer, Thrift thrift) const {
  const bool is_spare = volunteer.span.empty() || volunteer.returns_form;
  if (!is_spare && thrift != Thrift::kEverybody && MayHave(volunteer, volunteer.form)) {
    return volunteer.form;
  }
  const auto holds_any_block = [&](uint32_t form) {
    const auto& blocks = BlocksOf(form);
    for (uint32_t b = 0; b < blocks.size(); ++b) {
      if (planner::BytesNeeded(blocks, {b, b + 1}, PlanLimits(1)) > volunteer.memory_usable) {
        return false;
      }
    }
    return true;
  };
  std::optional<uint32_t> least;
  for (const Choice& choice : volunteer.choices) {
    if (!MayHave(volunteer, choice.form)) continue;
    if (thrift == Thrift::kNobody && holds_any_block(choice.form)) return choice.form;
    if (!least || WeightBytes(BlocksOf(choice.form)) < WeightBytes(BlocksOf(*least))) {
      least = choice.form;
    }
  }
  CHECK(least.has_value());
  return *least;
}

// As measured, if that is the form that it has.
planner::ExecutorSpeed Swarm::SpeedIn(const Volunteer& volunteer, uint32_t form) const {
  const auto choice = std::ranges::find(volunteer.choices, form, &Choice::form);
  return form == volunteer.form || choice == volunteer.choices.end() ? volunteer.speed.speed()
                                                                     : choice->speed;
}

// The best form with these weights; another one where it runs none.
uint32_t Swarm::FormWith(const Volunteer& volunteer, std::string_view weights) const {
  for (const Choice& choice : volunteer.choices) {
    if (WeightsOf(choice.form) == weights && MayHave(volunteer, choice.form)) return choice.form;
  }
  return FormFor(volunteer, Thrift::kNobody);
}

// The set of weights in which answers that are being made go through these blocks, if it is one.
std::optional<uint32_t> Swarm::SetInUse(planner::Span span) const {
  std::optional<uint32_t> set;
  for (const auto& [id, session] : sessions_) {
    if (session.sets.empty()) continue;
    for (uint32_t b = span.first; b < span.last; ++b) {
      if (set && *set != session.sets[b]) return std::nullopt;
      set = session.sets[b];
    }
  }
  return set;
}

// The form in which a volunteer is to have the span that it was planned with in FormFor().
uint32_t Swarm::FormAt(const Volunteer& volunteer, planner::Span span, Thrift thrift) const {
  const uint32_t planned = FormFor(volunteer, thrift);
  if (!HasSets() || (volunteer.span == span && volunteer.form == planned)) return planned;
  const std::optional<uint32_t> set = SetInUse(span);
  if (!set || *set == SetOf(planned)) return planned;
  for (const Choice& choice : volunteer.choices) {
    const bool fits =
        planner::BytesNeeded(BlocksOf(choice.form), span, PlanLimits(1)) <= volunteer.memory_usable;
    if (SetOf(choice.form) == *set && MayHave(volunteer, choice.form) && fits) return choice.form;
  }
  return planned;
}

Swarm::Forms Swarm::FormsOf(const planner::PoolPlan& plan, Thrift thrift) const {
  Forms forms;
  for (const planner::Pipeline& pipeline : plan.pipelines) {
    for (const planner::PlacedSpan& placed : pipeline.stages) {
      for (const NodeId node : placed.nodes) {
        forms[node] = FormAt(volunteers_.at(node), placed.span, thrift);
      }
    }
  }
  return forms;
}

// What it has from now on; how fast it is in another form is learnt anew.
void Swarm::GiveForm(NodeId node, uint32_t form) {
  Volunteer& volunteer = volunteers_.at(node);
  if (form == volunteer.form) return;
  volunteer.speed = planner::SpeedEstimate(SpeedIn(volunteer, form));
  volunteer.form = form;
}

// Forms that were taken on for the sake of answers are given up once there have been none for a
// while: what loads then answers nobody.
void Swarm::ReturnForms(Micros now) {
  if (!sessions_.empty()) busy_at_ = now;
  if (now - busy_at_ < config_.forms_return) return;
  for (auto& [node, volunteer] : volunteers_) {
    if (!std::exchange(volunteer.is_form_lent, false)) continue;
    volunteer.returns_form = true;
    replan_at_ = now;
  }
}

// The sets that the blocks have along the path; nothing where there is one set only.
std::vector<uint32_t> Swarm::SetsOf(const std::vector<NodeId>& path) const {
  std::vector<uint32_t> sets;
  if (!HasSets()) return sets;
  for (const NodeId node : path) {
    const Volunteer& volunteer = volunteers_.at(node);
    sets.insert(sets.end(), volunteer.span.size(), SetOf(volunteer.form));
  }
  return sets;
}

}  // namespace shoal::swarm
