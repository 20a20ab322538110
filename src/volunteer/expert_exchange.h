// One step's rows at one layer whose experts lie on other volunteers: who is asked for what, and
// what the answers add up to. No I/O, no clock: the caller sends what Ask gives and hands in what
// comes.
//
//   ExpertExchange exchange(shape, routed, routes);
//   send(exchange.Ask(table, next_request)) ... exchange.OnSums(from, sums) ...
//   until exchange.done(): exchange.Sum()
//
// Requests have no state at their receivers, so that whatever is lost is asked again: of the holder
// that a newer table names.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "wire/frames.h"

namespace shoal::volunteer {

class ExpertExchange {
 public:
  struct Shape {
    uint32_t block = 0;
    uint32_t hidden = 0;
    uint32_t experts = 0;  // Of the layer.
  };
  struct Request {
    NodeId to;
    wire::ExpertRows rows;
  };

  // `routed` [rows, hidden], `routes` [rows, experts]: finite.
  ExpertExchange(const Shape& shape, std::vector<float> routed, std::span<const float> routes);

  // Gives up requests that `table` (which wire::Validate has passed) sends elsewhere and makes new
  // ones for every group that is wanted, held by somebody and not asked for. Numbers them from
  // `next_request` on. kInvalidArgument when the table's groups are not the layer's experts.
  Result<std::vector<Request>> Ask(const wire::ExpertTable& table, uint64_t& next_request);

  // Whether the answer belongs to a request of this exchange; anything else changes nothing.
  // An answer that is not what was asked for makes the exchange fail, as does a refusal that asking
  // somebody else cannot mend.
  bool OnSums(NodeId from, const wire::ExpertSums& sums);
  bool OnRefusal(NodeId from, const wire::ExpertRefusal& refusal);

  bool done() const;
  const std::optional<Error>& error() const { return error_; }
  // What is still missing, for a person.
  std::string Missing() const;
  // [rows, hidden]: parts are added up in the order of their groups, whenever they came.
  std::vector<float> Sum() const;
  const std::vector<float>& routed() const { return routed_; }

 private:
  struct Choice {
    uint32_t expert = 0;
    float weight = 0;
  };
  struct Holder {
    NodeId node;
    uint32_t generation = 0;
    auto operator<=>(const Holder&) const = default;
  };
  enum class GroupState : uint8_t { kWanted, kAsked, kAnswered };
  struct Group {
    wire::ExpertHolder range;
    GroupState state = GroupState::kWanted;
    uint64_t request = 0;           // If asked.
    std::optional<Holder> refused;  // Not to be asked again.
  };
  struct Open {
    Holder holder;
    std::vector<uint32_t> groups;
    std::vector<uint32_t> rows;  // Of the step, ascending.
    wire::HopType type = wire::HopType::kF32;
  };
  struct Part {
    uint32_t first_group = 0;
    std::vector<uint32_t> rows;
    std::vector<float> values;  // [rows, hidden]
  };

  Status TakeTable(std::span<const wire::ExpertHolder> holders);
  Request Make(const Holder& holder, const std::vector<uint32_t>& groups, wire::HopType type,
               uint64_t number);
  Open* Find(NodeId from, uint64_t request);
  void Reopen(uint64_t request);

  const Shape shape_;
  const std::vector<float> routed_;
  std::vector<std::vector<Choice>> choices_;  // By row, ascending experts.
  std::map<uint32_t, Group> groups_;          // Those that a row chose.
  std::map<uint64_t, Open> open_;             // By request.
  std::vector<Part> parts_;
  std::optional<Error> error_;
  bool has_table_ = false;
};

}  // namespace shoal::volunteer
