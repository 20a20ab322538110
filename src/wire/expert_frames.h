// Frames between a volunteer that routes rows to experts and those that hold the experts of its
// layers (frames.h has the rest). Such work has no state: no session, no epoch, no cache. What a
// request and its answer have in common is a number that the asker chose.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "wire/kinds.h"

namespace shoal::wire {

// Who holds a group of a layer's experts.
struct ExpertHolder {
  uint32_t block = 0;
  uint32_t group = 0;
  uint32_t first = 0;  // Experts [first, first + count).
  uint32_t count = 0;
  NodeId node;              // 0: nobody, for now.
  uint32_t generation = 0;  // Of its assignment.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("block", self.block);
    visit("group", self.group);
    visit("first", self.first);
    visit("count", self.count);
    visit("node", self.node);
    visit("generation", self.generation);
  }
  bool operator==(const ExpertHolder&) const = default;
};

// "Send rows for the experts of your layers to these from now on." Replaces the table before it;
// what was asked of somebody who is not in it any more will not be answered.
struct ExpertTable {
  static constexpr Kind kKind = Kind::kExpertTable;
  uint32_t generation = 0;  // Of the assignment with the layers.
  HopType hop = HopType::kF32;
  std::vector<ExpertHolder> holders;  // Of all groups of all divided layers, by (block, group).

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("generation", self.generation);
    visit("hop", self.hop);
    visit("holders", self.holders);
  }
  bool operator==(const ExpertTable&) const = default;
};

// A row chose an expert: its result counts `weight`.
struct ExpertChoice {
  uint32_t row = 0;
  uint32_t expert = 0;
  float weight = 0;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("row", self.row);
    visit("expert", self.expert);
    visit("weight", self.weight);
  }
  bool operator==(const ExpertChoice&) const = default;
};

// Rows for experts that the receiver holds.
struct ExpertRows {
  static constexpr Kind kKind = Kind::kExpertRows;
  uint64_t request = 0;  // Never used again by its sender.
  uint32_t generation = 0;
  uint32_t block = 0;
  HopType type = HopType::kF32;  // Of this payload and of the answer's.
  uint32_t rows = 0;
  uint32_t width = 0;
  std::vector<ExpertChoice> choices;  // By (row, expert); at least one for every row.
  ByteVector payload;                 // [rows, width]: routed.{block}.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("request", self.request);
    visit("generation", self.generation);
    visit("block", self.block);
    visit("type", self.type);
    visit("rows", self.rows);
    visit("width", self.width);
    visit("choices", self.choices);
    visit.Payload("payload", self.payload);
  }
  bool operator==(const ExpertRows&) const = default;
};

// The answer: of each row its choices' results, weighed and summed.
struct ExpertSums {
  static constexpr Kind kKind = Kind::kExpertSums;
  uint64_t request = 0;
  HopType type = HopType::kF32;
  uint32_t rows = 0;
  uint32_t width = 0;
  ByteVector payload;  // [rows, width]

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("request", self.request);
    visit("type", self.type);
    visit("rows", self.rows);
    visit("width", self.width);
    visit.Payload("payload", self.payload);
  }
  bool operator==(const ExpertSums&) const = default;
};

// The other answer: it was not done.
struct ExpertRefusal {
  static constexpr Kind kKind = Kind::kExpertRefusal;
  uint64_t request = 0;
  uint8_t code = 0;    // A shoal::Code, never 0.
  std::string detail;  // One sentence for a person.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("request", self.request);
    visit("code", self.code);
    visit("detail", self.detail);
  }
  bool operator==(const ExpertRefusal&) const = default;
};

struct ExpertGroupUse {
  uint32_t block = 0;
  uint32_t group = 0;
  uint64_t rows_done = 0;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("block", self.block);
    visit("group", self.group);
    visit("rows_done", self.rows_done);
  }
  bool operator==(const ExpertGroupUse&) const = default;
};

// What a holder of experts did since it last said so.
struct ExpertUsage {
  static constexpr Kind kKind = Kind::kExpertUsage;
  uint32_t generation = 0;
  uint64_t requests = 0;
  uint64_t compute_us = 0;
  std::vector<ExpertGroupUse> groups;  // By (block, group); those with rows.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("generation", self.generation);
    visit("requests", self.requests);
    visit("compute_us", self.compute_us);
    visit("groups", self.groups);
  }
  bool operator==(const ExpertUsage&) const = default;
};

}  // namespace shoal::wire
