#include "volunteer/expert_exchange.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "tensor/convert.h"
#include "volunteer/hop_type.h"

namespace shoal::volunteer {

namespace {

// Refusals after which somebody else may be asked.
bool IsPassing(Code code) {
  return code == Code::kFailedPrecondition || code == Code::kNotFound ||
         code == Code::kUnavailable || code == Code::kResourceExhausted;
}

}  // namespace

ExpertExchange::ExpertExchange(const Shape& shape, std::vector<float> routed,
                               std::span<const float> routes)
    : shape_(shape), routed_(std::move(routed)) {
  CHECK(shape.hidden > 0 && shape.experts > 0);
  const size_t rows = routed_.size() / shape.hidden;
  CHECK(routed_.size() == rows * shape.hidden && routes.size() == rows * shape.experts);
  choices_.resize(rows);
  for (size_t row = 0; row < rows; ++row) {
    for (uint32_t expert = 0; expert < shape.experts; ++expert) {
      const float weight = routes[row * shape.experts + expert];
      if (weight != 0) choices_[row].push_back({expert, weight});
    }
  }
}

// Finds out which groups are wanted; later tables must have the same ones.
Status ExpertExchange::TakeTable(std::span<const wire::ExpertHolder> holders) {
  if (holders.empty() || holders.back().first + holders.back().count != shape_.experts) {
    return Fail(Code::kInvalidArgument, StrCat("the table's groups of block ", shape_.block,
                                               " are not its ", shape_.experts, " experts"));
  }
  std::vector<bool> wanted(holders.size(), false);
  for (const std::vector<Choice>& row : choices_) {
    size_t at = 0;
    for (const Choice& choice : row) {
      while (choice.expert >= holders[at].first + holders[at].count) ++at;
      wanted[at] = true;
    }
  }
  for (size_t i = 0; i < holders.size(); ++i) {
    if (!wanted[i]) continue;
    const auto [at, is_new] = groups_.try_emplace(holders[i].group);
    const wire::ExpertHolder& known = at->second.range;
    if (has_table_ &&
        (is_new || known.first != holders[i].first || known.count != holders[i].count)) {
      return Fail(Code::kInvalidArgument,
                  StrCat("the groups of block ", shape_.block, " changed during a step"));
    }
    at->second.range = holders[i];
  }
  has_table_ = true;
  return {};
}

Result<std::vector<ExpertExchange::Request>> ExpertExchange::Ask(const wire::ExpertTable& table,
                                                                 uint64_t& next_request) {
  const auto of_block = [&](const wire::ExpertHolder& holder) { return holder.block; };
  const auto [begin, end] = std::ranges::equal_range(table.holders, shape_.block, {}, of_block);
  RETURN_IF_ERROR(TakeTable({begin, end}));
  std::vector<uint64_t> moved;
  for (const auto& [number, open] : open_) {
    const bool stays = std::ranges::all_of(open.groups, [&](uint32_t group) {
      const wire::ExpertHolder& now = groups_.at(group).range;
      return Holder{now.node, now.generation} == open.holder;
    });
    if (!stays) moved.push_back(number);
  }
  for (const uint64_t number : moved) Reopen(number);
  std::map<Holder, std::vector<uint32_t>> by_holder;
  for (const auto& [index, group] : groups_) {
    const Holder holder{group.range.node, group.range.generation};
    if (group.state != GroupState::kWanted || holder.node == NodeId{} || group.refused == holder) {
      continue;
    }
    by_holder[holder].push_back(index);
  }
  std::vector<Request> requests;
  for (const auto& [holder, groups] : by_holder) {
    requests.push_back(Make(holder, groups, table.hop, next_request++));
  }
  return requests;
}

ExpertExchange::Request ExpertExchange::Make(const Holder& holder,
                                             const std::vector<uint32_t>& groups,
                                             wire::HopType type, uint64_t number) {
  Request request{.to = holder.node,
                  .rows = {.request = number,
                           .generation = holder.generation,
                           .block = shape_.block,
                           .type = type,
                           .width = shape_.hidden}};
  Open open{.holder = holder, .groups = groups, .rows = {}, .type = type};
  std::vector<float> rows;
  for (uint32_t row = 0; row < choices_.size(); ++row) {
    const auto index = static_cast<uint32_t>(open.rows.size());
    const size_t before = request.rows.choices.size();
    for (const Choice& choice : choices_[row]) {
      const bool is_here = std::ranges::any_of(groups, [&](uint32_t group) {
        const wire::ExpertHolder& range = groups_.at(group).range;
        return choice.expert >= range.first && choice.expert - range.first < range.count;
      });
      if (is_here) request.rows.choices.push_back({index, choice.expert, choice.weight});
    }
    if (request.rows.choices.size() == before) continue;
    open.rows.push_back(row);
    const auto from = routed_.begin() + static_cast<ptrdiff_t>(size_t{row} * shape_.hidden);
    rows.insert(rows.end(), from, from + shape_.hidden);
  }
  request.rows.rows = static_cast<uint32_t>(open.rows.size());
  request.rows.payload.resize(rows.size() * DTypeBytes(DTypeOf(type)));
  FromF32(DTypeOf(type), rows, request.rows.payload);
  for (const uint32_t group : groups) {
    groups_.at(group).state = GroupState::kAsked;
    groups_.at(group).request = number;
  }
  open_.emplace(number, std::move(open));
  return request;
}

ExpertExchange::Open* ExpertExchange::Find(NodeId from, uint64_t request) {
  const auto at = open_.find(request);
  return at == open_.end() || at->second.holder.node != from ? nullptr : &at->second;
}

void ExpertExchange::Reopen(uint64_t request) {
  for (const uint32_t group : open_.at(request).groups) {
    groups_.at(group).state = GroupState::kWanted;
  }
  open_.erase(request);
}

bool ExpertExchange::OnSums(NodeId from, const wire::ExpertSums& sums) {
  Open* const open = Find(from, sums.request);
  if (open == nullptr) return false;
  const bool fits =
      sums.type == open->type && sums.rows == open->rows.size() && sums.width == shape_.hidden;
  Part part{.first_group = open->groups.front(), .rows = std::move(open->rows), .values = {}};
  if (fits) {
    part.values.resize(size_t{sums.rows} * sums.width);
    ToF32(DTypeOf(sums.type), sums.payload, part.values);
  }
  if (!fits || !AllFinite(part.values)) {
    error_ = Error{Code::kDataLoss, StrCat("node ", from.value, " gave sums for experts of block ",
                                           shape_.block, " that are not what was asked for")};
  }
  for (const uint32_t group : open->groups) groups_.at(group).state = GroupState::kAnswered;
  parts_.push_back(std::move(part));
  open_.erase(sums.request);
  return true;
}

bool ExpertExchange::OnRefusal(NodeId from, const wire::ExpertRefusal& refusal) {
  Open* const open = Find(from, refusal.request);
  if (open == nullptr) return false;
  const auto code = static_cast<Code>(refusal.code);
  for (const uint32_t group : open->groups) groups_.at(group).refused = open->holder;
  if (!IsPassing(code)) {
    error_ = Error{code, StrCat("node ", from.value, " refused rows for experts of block ",
                                shape_.block, ": ", refusal.detail)};
  }
  Reopen(refusal.request);
  return true;
}

bool ExpertExchange::done() const {
  return has_table_ && !error_ && std::ranges::all_of(groups_, [](const auto& entry) {
           return entry.second.state == GroupState::kAnswered;
         });
}

std::string ExpertExchange::Missing() const {
  size_t unheld = 0;
  size_t unanswered = 0;
  for (const auto& [index, group] : groups_) {
    if (group.state == GroupState::kWanted) ++unheld;
    if (group.state == GroupState::kAsked) ++unanswered;
  }
  return StrCat("of the experts of block ", shape_.block, " ", unheld,
                " groups have no holder and ", unanswered, " have not answered");
}

std::vector<float> ExpertExchange::Sum() const {
  std::vector<float> sum(routed_.size(), 0);
  std::vector<const Part*> ordered;
  for (const Part& part : parts_) ordered.push_back(&part);
  std::ranges::sort(ordered, {}, [](const Part* part) { return part->first_group; });
  for (const Part* part : ordered) {
    for (size_t i = 0; i < part->rows.size(); ++i) {
      float* const to = sum.data() + size_t{part->rows[i]} * shape_.hidden;
      const float* const from = part->values.data() + i * shape_.hidden;
      for (uint32_t j = 0; j < shape_.hidden; ++j) to[j] += from[j];
    }
  }
  return sum;
}

}  // namespace shoal::volunteer
