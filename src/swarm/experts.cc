// Layers whose experts lie on volunteers of their own: when a model is divided so, who holds which
// groups, and what stages are told about it. planner/roles.h decides; this file keeps to it.
//
// Experts have no state, so that a holder who is lost is replaced by telling stages of another: of
// a replica at once, else of one that has loaded them. Stages ask again what was not answered.
#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "base/str_cat.h"
#include "planner/divide.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {

constexpr Micros kHotEvery = 10 * kSecond;
constexpr double kHotForgetting = 0.5;  // Of the rows counted, every kHotEvery.
constexpr double kHotRows = 256;        // Fewer say nothing.
constexpr double kHotFactor = 2;        // Over the mean, to be worth a replica.
constexpr Micros kRolesPatience = 8 * kSecond;

}  // namespace

// --- What is divided ---------------------------------------------------------------------------

void Swarm::SetDivided(std::vector<uint32_t> blocks) {
  std::ranges::sort(blocks);
  divided_ = std::move(blocks);
  config_.blocks = whole_blocks_;
  config_.other_forms = whole_forms_;
  for (const planner::ExpertLayer& layer : DividedLayers()) {
    config_.blocks[layer.block] = layer.own;
    for (Form& form : config_.other_forms) {
      planner::BlockCost& block = form.blocks[layer.block];
      planner::BlockCost own = layer.own;
      own.kv_bytes_per_position = block.kv_bytes_per_position;
      // Nobody has a divided layer in another set.
      if (form.weights != config_.weights) own.weight_bytes = block.weight_bytes;
      block = own;
    }
  }
  experts_changed_ = true;
}

std::vector<uint32_t> Swarm::DividedIn(planner::Span span) const {
  std::vector<uint32_t> within;
  for (const uint32_t block : divided_) {
    if (block >= span.first && block < span.last) within.push_back(block);
  }
  return within;
}

std::vector<planner::ExpertLayer> Swarm::DividedLayers() const {
  std::vector<planner::ExpertLayer> layers;
  for (const planner::ExpertLayer& layer : config_.mixtures) {
    if (std::ranges::binary_search(divided_, layer.block)) layers.push_back(layer);
  }
  return layers;
}

// --- Roles -------------------------------------------------------------------------------------

planner::Roles Swarm::RolesFor(const std::vector<uint32_t>& divided, planner::Held held) const {
  std::vector<planner::BlockCost> blocks = whole_blocks_;
  std::vector<planner::ExpertLayer> layers;
  for (const planner::ExpertLayer& layer : config_.mixtures) {
    if (std::ranges::find(divided, layer.block) == divided.end()) continue;
    blocks[layer.block] = layer.own;
    layers.push_back(layer);
  }
  std::vector<planner::RoleNode> nodes;
  for (const auto& [node, volunteer] : volunteers_) {
    if (!IsCountedOn(volunteer)) continue;
    nodes.push_back({.device = {node, volunteer.memory_usable, volunteer.span},
                     .experts = {.node = node,
                                 .memory_bytes = volunteer.memory_usable,
                                 .cluster = volunteer.link.cluster,
                                 .latency_s = volunteer.link.latency_s,
                                 .held = volunteer.experts}});
  }
  return planner::DivideRoles(blocks, layers, nodes, PlanLimits(StagesMin()),
                              config_.expert_holders, held);
}

bool Swarm::FitsWhole() const {
  std::vector<planner::Device> devices;
  for (const auto& [node, volunteer] : volunteers_) {
    if (IsCountedOn(volunteer)) devices.push_back({node, volunteer.memory_usable, volunteer.span});
  }
  return planner::Divide(whole_blocks_, std::move(devices), PlanLimits(1)).complete();
}

// Whether stages may be planned: nothing is divided, or everybody's role is known.
bool Swarm::ChooseRoles(Micros now) {
  expert_missing_bytes_ = 0;
  expert_missing_devices_ = 0;
  if (config_.mixtures.empty()) return true;
  const bool is_forced = config_.expert_holders > 0;
  if (!is_forced && divided_.empty() && FitsWhole()) return true;
  // Layers that fit nobody whole; if that does not do, all of them.
  std::vector<std::vector<uint32_t>> choices;
  if (!divided_.empty()) choices.push_back(divided_);
  uint64_t largest = 0;
  for (const auto& [node, volunteer] : volunteers_) {
    largest = std::max(largest, volunteer.memory_usable);
  }
  std::vector<uint32_t> too_large;
  std::vector<uint32_t> all;
  for (const planner::ExpertLayer& layer : config_.mixtures) {
    const planner::Span one{layer.block, layer.block + 1};
    all.push_back(layer.block);
    if (planner::BytesNeeded(whole_blocks_, one, PlanLimits(1)) > largest) {
      too_large.push_back(layer.block);
    }
  }
  if (!is_forced && !too_large.empty()) choices.push_back(too_large);
  choices.push_back(all);
  // Who is silent may be back in a moment; what others hold is moved only after a while.
  const bool lacks_long = roles_lack_since_ != 0 && now - roles_lack_since_ >= kRolesPatience;
  planner::Roles roles;
  for (const planner::Held held : {planner::Held::kStays, planner::Held::kMoves}) {
    if (held == planner::Held::kMoves && !lacks_long) break;
    for (const std::vector<uint32_t>& divided : choices) {
      roles = RolesFor(divided, held);
      if (!roles.complete()) continue;
      roles_lack_since_ = 0;
      if (divided != divided_) SetDivided(divided);
      expert_plan_ = std::move(roles.experts.holders);
      return true;
    }
  }
  if (!is_forced && FitsWhole()) {
    roles_lack_since_ = 0;
    SetDivided({});
    expert_plan_.clear();
    return true;
  }
  if (roles_lack_since_ == 0) roles_lack_since_ = now;
  if (!lacks_long) replan_at_ = roles_lack_since_ + kRolesPatience;
  expert_missing_bytes_ = roles.missing_bytes;
  expert_missing_devices_ = roles.missing_devices;
  return false;
}

// Every group is to be held by somebody who is here.
bool Swarm::ExpertsStand() const {
  if (divided_.empty()) return true;
  std::set<planner::ExpertSlot> held;
  for (const auto& [node, volunteer] : volunteers_) {
    if (IsCountedOn(volunteer)) held.insert(volunteer.experts.begin(), volunteer.experts.end());
  }
  for (const planner::ExpertLayer& layer : DividedLayers()) {
    for (uint32_t group = 0; group < layer.group_bytes.size(); ++group) {
      if (!held.contains({layer.block, group})) return false;
    }
  }
  return true;
}

// --- Assignments -------------------------------------------------------------------------------

// What a new assignment begins with, of whatever kind.
void Swarm::BeginLoading(NodeId node, Micros now, Effects& out) {
  LoseLeases(node, now, out);
  Volunteer& volunteer = volunteers_.at(node);
  volunteer.span = {};
  volunteer.divided.clear();
  volunteer.experts.clear();
  volunteer.table.clear();
  volunteer.generation = next_generation_++;
  volunteer.state = VolunteerState::kLoading;
  volunteer.bytes_done = 0;
  volunteer.bytes_total = 0;
  volunteer.last_progress = now;
  volunteer.assigned_at = now;
  volunteer.away.clear();
  volunteer.waiting.clear();
  experts_changed_ = experts_changed_ || !divided_.empty();
}

void Swarm::AssignHolding(NodeId node, std::vector<planner::ExpertSlot> slots, Micros now,
                          Effects& out) {
  Volunteer& volunteer = volunteers_.at(node);
  if (volunteer.experts == slots) return;
  const uint32_t form = FormFor(volunteer, Thrift::kNobody);
  BeginLoading(node, now, out);
  GiveForm(node, form);
  volunteer.is_form_lent = false;
  volunteer.experts = slots;
  out.push_back(AssignExperts{node, volunteer.generation, std::move(slots), form});
}

void Swarm::AssignHoldings(Micros now, Effects& out) {
  for (const auto& [node, slots] : planner::ExpertHolding(expert_plan_)) {
    AssignHolding(node, slots, now, out);
  }
}

// --- What stages are told ----------------------------------------------------------------------

// Of replicas the one with least to do beside the groups that only it has; the busiest groups
// first.
std::map<planner::ExpertSlot, NodeId> Swarm::ChooseHolders(
    const std::map<planner::ExpertSlot, std::vector<NodeId>>& holders) const {
  std::vector<std::tuple<bool, double, planner::ExpertSlot>> order;
  for (const auto& [slot, nodes] : holders) {
    const auto rows = expert_rows_.find(slot);
    order.emplace_back(nodes.size() > 1, rows == expert_rows_.end() ? 0 : -rows->second, slot);
  }
  std::ranges::sort(order);
  std::map<NodeId, double> load;
  std::map<planner::ExpertSlot, NodeId> chosen;
  for (const auto& [is_choice, rows, slot] : order) {
    const auto least = std::ranges::min_element(
        holders.at(slot), {}, [&](NodeId node) { return std::pair(load[node], node); });
    chosen[slot] = *least;
    load[*least] += 1 - rows;
  }
  return chosen;
}

// Tells every stage with divided layers who holds their experts, where that has changed.
void Swarm::RefreshTables(Effects& out) {
  experts_changed_ = false;
  unanswered_.clear();
  std::map<planner::ExpertSlot, std::vector<NodeId>> holders;
  std::map<planner::ExpertSlot, std::vector<NodeId>> leaving;
  for (const auto& [node, volunteer] : volunteers_) {
    if (volunteer.state != VolunteerState::kReady) continue;
    const bool goes_soon = volunteer.leaving_since != 0;
    if (goes_soon ? volunteer.silent || volunteer.excluded_until != 0 : !IsCountedOn(volunteer)) {
      continue;
    }
    for (const planner::ExpertSlot& slot : volunteer.experts) {
      (goes_soon ? leaving : holders)[slot].push_back(node);
    }
  }
  // Whoever is about to leave answers until somebody else can.
  holders.merge(leaving);
  const std::map<planner::ExpertSlot, NodeId> chosen = ChooseHolders(holders);
  std::map<uint32_t, std::vector<wire::ExpertHolder>> rows_of;
  for (const planner::ExpertLayer& layer : DividedLayers()) {
    for (uint32_t group = 0; group < layer.group_bytes.size(); ++group) {
      wire::ExpertHolder& row = rows_of[layer.block].emplace_back();
      row = {.block = layer.block,
             .group = group,
             .first = group * layer.experts_per_group,
             .count = layer.experts_per_group};
      const auto at = chosen.find({layer.block, group});
      if (at == chosen.end()) {
        unanswered_.insert(layer.block);
      } else {
        row.node = at->second;
        row.generation = volunteers_.at(at->second).generation;
      }
    }
  }
  for (auto& [node, volunteer] : volunteers_) {
    if (volunteer.divided.empty()) continue;
    std::vector<wire::ExpertHolder> table;
    for (const uint32_t block : volunteer.divided) {
      const std::vector<wire::ExpertHolder>& rows = rows_of[block];
      table.insert(table.end(), rows.begin(), rows.end());
    }
    if (table.empty() || table == volunteer.table) continue;
    volunteer.table = table;
    out.push_back(SendBody{node, wire::ExpertTable{.generation = volunteer.generation,
                                                   .hop = config_.hop,
                                                   .holders = std::move(table)}});
  }
}

// Whether somebody who is to hold experts has a stage in `plan`.
bool Swarm::UsesExpertHolders(const planner::PoolPlan& plan) const {
  for (const planner::Pipeline& pipeline : plan.pipelines) {
    for (const planner::PlacedSpan& placed : pipeline.stages) {
      const auto holds = [&](NodeId node) { return IsExpertHolder(node); };
      if (std::ranges::any_of(placed.nodes, holds)) return true;
    }
  }
  return false;
}

// Whether stages have been told to ask it.
bool Swarm::IsAsked(NodeId node) const {
  return std::ranges::any_of(volunteers_, [&](const auto& entry) {
    return std::ranges::find(entry.second.table, node, &wire::ExpertHolder::node) !=
           entry.second.table.end();
  });
}

// Whether every expert that its rows may need has somebody to answer.
bool Swarm::ExpertsAnswer(const Volunteer& volunteer) const {
  return std::ranges::none_of(volunteer.divided,
                              [&](uint32_t block) { return unanswered_.contains(block); });
}

bool Swarm::MayExchange(NodeId from, NodeId to) const {
  const auto a = volunteers_.find(from);
  const auto b = volunteers_.find(to);
  if (a == volunteers_.end() || b == volunteers_.end()) return false;
  const auto asks = [](const Volunteer& stage, const Volunteer& holder) {
    return std::ranges::any_of(holder.experts, [&](const planner::ExpertSlot& slot) {
      return std::ranges::binary_search(stage.divided, slot.block);
    });
  };
  return asks(a->second, b->second) || asks(b->second, a->second);
}

// --- Hot experts -------------------------------------------------------------------------------

void Swarm::On(const ExpertsUsed& event, Micros, Effects& out) {
  const auto at = volunteers_.find(event.node);
  if (at == volunteers_.end() || at->second.generation != event.usage.generation) return;
  uint64_t rows = 0;
  for (const wire::ExpertGroupUse& use : event.usage.groups) {
    const planner::ExpertSlot slot{use.block, use.group};
    if (!std::ranges::binary_search(at->second.experts, slot)) continue;
    // A claim: nobody's word makes a group hotter than the swarm could.
    const uint64_t counted = std::min<uint64_t>(use.rows_done, 1u << 20);
    expert_rows_[slot] += static_cast<double>(counted);
    rows += counted;
  }
  at->second.tokens_done += event.usage.requests;
  if (rows > 0) out.push_back(StepCredited{event.node, rows});
}

// Volunteers with nothing to do hold replicas of the groups that most rows choose.
void Swarm::ReplicateHot(Micros now, Effects& out) {
  if (divided_.empty() || now - hot_seen_at_ < kHotEvery) return;
  hot_seen_at_ = now;
  double sum = 0;
  std::vector<std::pair<double, planner::ExpertSlot>> hottest;
  for (auto& [slot, rows] : expert_rows_) {
    sum += rows;
    hottest.emplace_back(-rows, slot);
    rows *= kHotForgetting;
  }
  if (sum < kHotRows || !PlanStands()) return;
  size_t groups = 0;
  for (const planner::ExpertLayer& layer : DividedLayers()) groups += layer.group_bytes.size();
  const double mean = sum / static_cast<double>(groups);
  std::ranges::sort(hottest);
  std::map<planner::ExpertSlot, size_t> copies;
  for (const auto& [node, volunteer] : volunteers_) {
    for (const planner::ExpertSlot& slot : volunteer.experts) ++copies[slot];
  }
  for (const auto& [node, volunteer] : volunteers_) {
    const bool is_idle = volunteer.span.empty() && volunteer.experts.empty() &&
                         IsCountedOn(volunteer) && volunteer.state == VolunteerState::kSpare;
    if (!is_idle) continue;
    std::vector<planner::ExpertSlot> slots;
    uint64_t needed = config_.overhead_bytes;
    for (const auto& [rows, slot] : hottest) {
      if (-rows < kHotFactor * mean || copies[slot] > 1) continue;
      const auto layer =
          std::ranges::find(config_.mixtures, slot.block, &planner::ExpertLayer::block);
      needed += layer->group_bytes[slot.group] * PlanLimits(1).weight_percent / 100;
      if (needed > volunteer.memory_usable) break;
      slots.push_back(slot);
    }
    if (slots.empty()) continue;
    std::ranges::sort(slots);
    expert_plan_[node] = slots;
    out.push_back(Note{StrCat("volunteer ", node.value, " is to hold replicas of ", slots.size(),
                              " hot groups of experts")});
    return AssignHolding(node, std::move(slots), now, out);
  }
}

// What divided layers add to a token, as far as it can be foreseen.
double Swarm::ExpertSeconds(const planner::Problem& problem) const {
  if (divided_.empty() || plan_.pipelines.empty()) return 0;
  std::map<uint32_t, NodeId> stage_of;
  for (const planner::PlacedSpan& placed : plan_.pipelines.front().stages) {
    for (const uint32_t block : DividedIn(placed.span)) stage_of[block] = placed.nodes.front();
  }
  const uint32_t hop_bytes = config_.hop == wire::HopType::kF16 ? 2 : 4;
  planner::Problem all = problem;
  for (const auto& [node, slots] : expert_plan_) {
    const auto at = volunteers_.find(node);
    if (at == volunteers_.end()) continue;
    planner::Volunteer& one = all.volunteers.emplace_back();
    one.node = node;
    one.memory_bytes = at->second.memory_usable;
    one.speed = at->second.speed.speed();
    one.link = at->second.link;
    one.link.latency_s = static_cast<double>(at->second.round_trip) / (2.0 * kSecond);
  }
  const planner::ExpertCost cost = planner::CostOfExperts(all, DividedLayers(), expert_plan_,
                                                          stage_of, config_.hidden, hop_bytes);
  return cost.round_trips_s + cost.compute_s;
}

}  // namespace shoal::swarm
