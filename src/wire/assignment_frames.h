// Frames about what a volunteer holds (frames.h has the rest).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/kinds.h"

namespace shoal::wire {

// A file that a stage's graph names as external data, or the graph itself.
struct StageFile {
  std::string location;  // As in the graph: the lower-case hex SHA-256 of the file.
  std::string path;      // Where to fetch it: a path on the coordinator, "/blobs/<sha>".
  uint64_t bytes = 0;
  std::vector<Sha256> chunks;  // Of every 16 MiB, in order.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("location", self.location);
    visit("path", self.path);
    visit("bytes", self.bytes);
    visit("chunks", self.chunks);
  }
  bool operator==(const StageFile&) const = default;
};

// The KV cache of one layer block: graph values past.{block}.key and so on.
struct KvSlot {
  uint32_t block = 0;
  uint32_t heads = 0;      // KV heads.
  uint32_t head_size = 0;  // Values per head and position, for key and for value each.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("block", self.block);
    visit("heads", self.heads);
    visit("head_size", self.head_size);
  }
  bool operator==(const KvSlot&) const = default;
};

// What a stage goes on with behind the experts of a layer that other volunteers hold.
struct StagePart {
  uint32_t block = 0;
  uint32_t experts = 0;       // Of the layer: the width of routes.{block}.
  bool takes_routed = false;  // The graph reads routed.{block} too.
  StageFile graph;            // From residual.{block} and expert_sum.{block} on.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("block", self.block);
    visit("experts", self.experts);
    visit("takes_routed", self.takes_routed);
    visit("graph", self.graph);
  }
  bool operator==(const StagePart&) const = default;
};

// A group of a layer's experts: experts [first, first + count).
struct ExpertRange {
  uint32_t group = 0;
  uint32_t first = 0;
  uint32_t count = 0;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("group", self.group);
    visit("first", self.first);
    visit("count", self.count);
  }
  bool operator==(const ExpertRange&) const = default;
};

// Experts of one layer that this volunteer holds for others.
struct ExpertPart {
  uint32_t block = 0;
  uint32_t experts = 0;             // Of the layer, wherever they lie.
  std::vector<ExpertRange> groups;  // Ascending, apart from one another.
  StageFile graph;                  // routed.{block} and routes.{block} to expert_sum.{block}.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("block", self.block);
    visit("experts", self.experts);
    visit("groups", self.groups);
    visit("graph", self.graph);
  }
  bool operator==(const ExpertPart&) const = default;
};

// "Hold blocks [first, last)", or "hold these experts": one of the two. Neither: hold nothing.
// Replaces the assignment before it; sessions opened under an older generation are dropped.
struct Assign {
  static constexpr Kind kKind = Kind::kAssign;
  uint32_t generation = 0;
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t hidden = 0;     // Width H of a hidden state.
  uint32_t vocab = 0;      // Width of the logits.
  uint32_t positions = 0;  // Longest context served.
  uint32_t max_rows = 0;   // Most rows of one step frame.
  StageFile graph;         // Of experts alone: empty.
  std::vector<StageFile> weights;
  std::vector<KvSlot> kv;
  std::vector<StagePart> parts;     // By block: what follows `graph`.
  std::vector<ExpertPart> experts;  // By block.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("generation", self.generation);
    visit("first", self.first);
    visit("last", self.last);
    visit("hidden", self.hidden);
    visit("vocab", self.vocab);
    visit("positions", self.positions);
    visit("max_rows", self.max_rows);
    visit("graph", self.graph);
    visit("weights", self.weights);
    visit("kv", self.kv);
    visit("parts", self.parts);
    visit("experts", self.experts);
  }
  bool operator==(const Assign&) const = default;
};

// Progress of an assignment; `done` when the stage has been built and has run once.
struct Ready {
  static constexpr Kind kKind = Kind::kReady;
  uint32_t generation = 0;
  bool done = false;
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
  uint64_t bytes_fetched = 0;  // Of bytes_done, those that crossed the network just now.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("generation", self.generation);
    visit("done", self.done);
    visit("bytes_done", self.bytes_done);
    visit("bytes_total", self.bytes_total);
    visit("bytes_fetched", self.bytes_fetched);
  }
  bool operator==(const Ready&) const = default;
};

}  // namespace shoal::wire
