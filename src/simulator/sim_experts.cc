// Experts that lie elsewhere, as a simulated volunteer deals with them: on both sides.
#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "simulator/sim_volunteer.h"
#include "simulator/toy_model.h"

namespace shoal::simulator {

namespace {
constexpr Micros kPatience = 15 * kSecond;  // For all layers of a step.
}  // namespace

// --- Who holds experts -------------------------------------------------------------------------

void SimVolunteer::On(NodeId from, wire::ExpertRows& rows) {
  const auto request = std::make_shared<const wire::ExpertRows>(std::move(rows));
  const auto refuse = [this, from, request](Code code) {
    send_(from, wire::ExpertRefusal{.request = request->request,
                                    .code = static_cast<uint8_t>(code),
                                    .detail = "not held here"});
  };
  if (!loaded_ || request->generation != generation_) return refuse(Code::kFailedPrecondition);
  const auto part = std::ranges::find(assign_.experts, request->block, &wire::ExpertPart::block);
  const bool holds_all =
      part != assign_.experts.end() &&
      std::ranges::all_of(request->choices, [&](const wire::ExpertChoice& choice) {
        return std::ranges::find(part->groups, choice.expert, &wire::ExpertRange::group) !=
               part->groups.end();
      });
  if (!holds_all) {
    observer_.Misdirected(node_, "rows for experts that were never held under this assignment");
    return refuse(Code::kNotFound);
  }
  Queue({[this, request] {
           return traits_.fixed + static_cast<Micros>(request->choices.size()) * traits_.block_row;
         },
         [this, from, request, refuse] {
           if (request->generation != generation_) return refuse(Code::kFailedPrecondition);
           wire::ExpertSums sums{
               .request = request->request, .rows = request->rows, .width = request->width};
           sums.payload.resize(request->payload.size());
           observer_.ExpertsComputed(node_, request->choices.size());
           send_(from, std::move(sums));
           wire::ExpertUsage usage{.generation = generation_, .requests = 1};
           for (const wire::ExpertChoice& choice : request->choices) {
             usage.groups.push_back({request->block, choice.expert, 1});
           }
           send_(kCoordinator, std::move(usage));
         }});
}

// --- Who asks ----------------------------------------------------------------------------------

void SimVolunteer::StartDivided(wire::Step step, std::vector<Group> groups) {
  if (groups.empty()) return;
  const auto divided = std::make_shared<Divided>();
  divided->step = std::move(step);
  divided->groups = std::move(groups);
  divided_.push_back(divided);
  After(kPatience, [this, late = std::weak_ptr(divided)] {
    const auto one = late.lock();
    const auto at = std::ranges::find(divided_, one);
    if (one == nullptr || at == divided_.end()) return;
    divided_.erase(at);
    for (const Group& group : one->groups) {
      const auto session = sessions_.find(group.session);
      if (session != sessions_.end() && session->second.epoch == group.epoch) {
        session->second.failed = true;
      }
      Fail(group.session, group.epoch, Code::kUnavailable, "experts did not answer");
    }
    SendDivided();
  });
  AskLayer(*divided);
}

// Every second group, by position: so that rows differ in whom they need.
void SimVolunteer::AskLayer(Divided& divided) {
  const wire::StagePart& part = assign_.parts[divided.layer];
  for (uint32_t group = 0; group < part.experts; ++group) {
    const bool is_wanted = (divided.groups.front().position + part.block + group) % 2 == 0;
    if (is_wanted || part.experts == 1) divided.asked[group] = 0;
  }
  AskAgain(divided);
}

// Asks those whom the table names for what nobody has been asked, or somebody else.
void SimVolunteer::AskAgain(Divided& divided) {
  if (table_.generation != generation_) return;
  const uint32_t block = assign_.parts[divided.layer].block;
  std::map<NodeId, wire::ExpertRows> requests;
  for (auto& [group, request] : divided.asked) {
    const auto row = std::ranges::find_if(table_.holders, [&](const wire::ExpertHolder& holder) {
      return holder.block == block && holder.group == group;
    });
    CHECK(row != table_.holders.end());
    const std::pair holder(row->node, row->generation);
    if (request != 0 && divided.holder_of.at(request) == holder) continue;
    request = 0;
    if (row->node == NodeId{}) continue;
    wire::ExpertRows& rows = requests[row->node];
    if (rows.request == 0) rows.request = next_request_++;
    rows.generation = row->generation;
    rows.block = block;
    rows.rows = 1;
    rows.width = kHiddenWidth;
    rows.payload.resize(kHiddenWidth * sizeof(float));
    rows.choices.push_back({0, group, 1});
    request = rows.request;
    divided.holder_of[request] = holder;
  }
  for (auto& [node, rows] : requests) send_(node, std::move(rows));
}

void SimVolunteer::On(NodeId, wire::ExpertTable& table) {
  table_ = table;
  if (table_.generation != generation_) return;
  for (const auto& divided : divided_) {
    if (divided->layer < assign_.parts.size()) AskAgain(*divided);
  }
}

void SimVolunteer::On(NodeId from, wire::ExpertSums& sums) { Answered(from, sums.request, true); }

void SimVolunteer::On(NodeId from, wire::ExpertRefusal& refusal) {
  Answered(from, refusal.request, false);
}

void SimVolunteer::Answered(NodeId from, uint64_t request, bool done) {
  for (const auto& divided : divided_) {
    const auto at = divided->holder_of.find(request);
    if (at == divided->holder_of.end() || at->second.first != from) continue;
    // Whoever refuses is not asked again until a table names another assignment.
    if (!done) return;
    std::erase_if(divided->asked, [&](const auto& entry) { return entry.second == request; });
    if (!divided->asked.empty()) return;
    divided->holder_of.clear();
    if (++divided->layer < assign_.parts.size()) return AskLayer(*divided);
    return SendDivided();
  }
}

// Results leave in the order of the steps.
void SimVolunteer::SendDivided() {
  while (!divided_.empty() && divided_.front()->layer == assign_.parts.size()) {
    const auto divided = divided_.front();
    divided_.pop_front();
    SendResults(divided->step, divided->groups);
  }
}

}  // namespace shoal::simulator
