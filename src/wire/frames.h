// Frames of wire v1: what coordinator and volunteers say to each other. docs/protocol.md specifies
// the bytes; codec.h encodes and decodes; this header says what the fields mean.
//
// Every frame is a fixed header (kind, to, from, body length) and a body. A relay reads the header
// alone and passes the bytes on. Each body struct lists its fields once, in wire order, in
// `Fields(visitor, self)`; the codec and the JSON form of frames are made from that list. A visitor
// has operator()(name, field) and Payload(name, bytes), which is for a frame's last, bulky field.
//
// All floats of a frame are finite, all strings are UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "wire/assignment_frames.h"
#include "wire/expert_frames.h"
#include "wire/kinds.h"

namespace shoal::wire {

// --- Joining -----------------------------------------------------------------------------------

inline constexpr size_t kResumeTokenBytesMax = 64;

// First frame of either side. The volunteer sends node = 0 and, when it comes back after a lost
// connection, the token it was given; the coordinator answers with the node's number.
struct Hello {
  static constexpr Kind kKind = Kind::kHello;
  uint16_t version_min = kVersion;
  uint16_t version_max = kVersion;
  NodeId node;
  std::string agent;         // "shoal 0.1.0 (web)": for logs and the status page.
  std::string join_secret;   // Of a private swarm; empty otherwise. Never sent by a coordinator.
  std::string resume_token;  // Opaque, at most kResumeTokenBytesMax.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("version_min", self.version_min);
    visit("version_max", self.version_max);
    visit("node", self.node);
    visit("agent", self.agent);
    visit("join_secret", self.join_secret);
    visit("resume_token", self.resume_token);
  }
  bool operator==(const Hello&) const = default;
};

// A named figure that a volunteer measured of itself: "probe.block_ms", "download.mbps", ...
struct Measure {
  std::string name;
  double value = 0;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("name", self.name);
    visit("value", self.value);
  }
  bool operator==(const Measure&) const = default;
};

// What a volunteer offers. Sent after hello, and again when it changes. Claims, not facts.
struct Profile {
  static constexpr Kind kKind = Kind::kProfile;
  std::string executor;       // "ort-wasm", "ort-webgpu", "shoal".
  uint64_t memory_bytes = 0;  // Lent for weights, KV and buffers together.
  uint32_t threads = 1;
  std::string platform;  // User agent or operating system: for people.
  std::vector<Measure> measures;
  std::vector<Sha256> cached;  // Blobs that it already holds.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("executor", self.executor);
    visit("memory_bytes", self.memory_bytes);
    visit("threads", self.threads);
    visit("platform", self.platform);
    visit("measures", self.measures);
    visit("cached", self.cached);
  }
  bool operator==(const Profile&) const = default;
};

// --- Sessions ----------------------------------------------------------------------------------

// "Keep KV for this session; send what you compute for it to `next`." Opening a known session with
// a newer epoch keeps the KV of positions below `keep` and drops the rest.
struct Open {
  static constexpr Kind kKind = Kind::kOpen;
  SessionId session;
  Epoch epoch;
  uint32_t generation = 0;  // The assignment that the route counts on.
  NodeId next;              // 0 for the last stage, which samples and answers with token frames.
  HopType hop = HopType::kF32;
  uint32_t capacity = 0;  // Positions that the session may reach.
  uint32_t keep = 0;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
    visit("epoch", self.epoch);
    visit("generation", self.generation);
    visit("next", self.next);
    visit("hop", self.hop);
    visit("capacity", self.capacity);
    visit("keep", self.keep);
  }
  bool operator==(const Open&) const = default;
};

// One position of one session.
struct Row {
  SessionId session;
  Epoch epoch;
  uint32_t position = 0;
  uint8_t flags = 0;

  static constexpr uint8_t kWantToken = 1;  // The head samples after this row and answers.
  static constexpr uint8_t kReplay = 2;     // Run for its KV alone: nothing is sent on.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
    visit("epoch", self.epoch);
    visit("position", self.position);
    visit("flags", self.flags);
  }
  bool operator==(const Row&) const = default;
};

// Most alternatives that a token frame lists.
inline constexpr uint32_t kTopLogprobsMax = 128;

struct TokenBias {
  int32_t token = 0;
  float bias = 0;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("token", self.token);
    visit("bias", self.bias);
  }
  bool operator==(const TokenBias&) const = default;
};

// How the head chooses the token after row `row` of the frame: everything it needs, so that no
// sampler state lives on a volunteer.
struct Sampling {
  uint32_t row = 0;
  uint64_t seed = 0;
  uint32_t choice = 0;  // Index of the choice when a request asks for several.
  float temperature = 0;
  uint32_t top_k = 0;  // 0: no limit.
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;
  float frequency_penalty = 0;
  float presence_penalty = 0;
  uint32_t top_logprobs = 0;     // How many alternatives to report, at most kTopLogprobsMax.
  std::vector<int32_t> history;  // Tokens that the penalties count; empty when none is set.
  std::vector<TokenBias> biases;
  std::vector<uint8_t> mask;  // Bit i % 8 of byte i / 8: token i is allowed. Empty: all are.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("row", self.row);
    visit("seed", self.seed);
    visit("choice", self.choice);
    visit("temperature", self.temperature);
    visit("top_k", self.top_k);
    visit("top_p", self.top_p);
    visit("min_p", self.min_p);
    visit("repetition_penalty", self.repetition_penalty);
    visit("frequency_penalty", self.frequency_penalty);
    visit("presence_penalty", self.presence_penalty);
    visit("top_logprobs", self.top_logprobs);
    visit("history", self.history);
    visit("biases", self.biases);
    visit("mask", self.mask);
  }
  bool operator==(const Sampling&) const = default;
};

enum class PayloadType : uint8_t { kTokens = 0, kF32 = 1, kF16 = 2 };

// Rows of one or many sessions and what to compute them from: [rows] int32 tokens for the first
// stage, [rows, width] hidden states for the others. At least one row. Rows of one session lie side
// by side, in order of position, with one epoch. `sampling` has one item for every row with
// kWantToken, in the order of the rows; a stage passes it on unchanged.
struct Step {
  static constexpr Kind kKind = Kind::kStep;
  std::vector<Row> rows;
  PayloadType type = PayloadType::kTokens;
  uint32_t width = 1;  // 1 for tokens, else H.
  std::vector<Sampling> sampling;
  ByteVector payload;  // Last on the wire, 4-byte aligned; rows * width elements.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("rows", self.rows);
    visit("type", self.type);
    visit("width", self.width);
    visit("sampling", self.sampling);
    visit.Payload("payload", self.payload);
  }
  bool operator==(const Step&) const = default;
};

struct TokenProbability {
  int32_t token = 0;
  float logprob = 0;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("token", self.token);
    visit("logprob", self.logprob);
  }
  bool operator==(const TokenProbability&) const = default;
};

// The head's answer to a row with kWantToken.
struct Token {
  static constexpr Kind kKind = Kind::kToken;
  SessionId session;
  Epoch epoch;
  uint32_t position = 0;  // Of the new token: one past the row's.
  int32_t token = 0;
  float logprob = 0;                  // Of the token, at temperature 1 before any filter.
  float log_sum_exp = 0;              // Of the raw logits.
  std::vector<TokenProbability> top;  // Sorted, most probable first; at most kTopLogprobsMax.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
    visit("epoch", self.epoch);
    visit("position", self.position);
    visit("token", self.token);
    visit("logprob", self.logprob);
    visit("log_sum_exp", self.log_sum_exp);
    visit("top", self.top);
  }
  bool operator==(const Token&) const = default;
};

// "Stop computing for this session; rows under way may be dropped." KV stays until release.
struct Cancel {
  static constexpr Kind kKind = Kind::kCancel;
  SessionId session;
  Epoch epoch;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
    visit("epoch", self.epoch);
  }
  bool operator==(const Cancel&) const = default;
};

// "Forget this session and free its KV."
struct Release {
  static constexpr Kind kKind = Kind::kRelease;
  SessionId session;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
  }
  bool operator==(const Release&) const = default;
};

// "Forget the KV of this and later positions."
struct Rollback {
  static constexpr Kind kKind = Kind::kRollback;
  SessionId session;
  Epoch epoch;
  uint32_t position = 0;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
    visit("epoch", self.epoch);
    visit("position", self.position);
  }
  bool operator==(const Rollback&) const = default;
};

// "Send the KV of blocks [first, last), positions [from, to), to `target` as kv-import frames."
struct KvExport {
  static constexpr Kind kKind = Kind::kKvExport;
  SessionId session;
  Epoch epoch;
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t from = 0;
  uint32_t to = 0;
  NodeId target;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
    visit("epoch", self.epoch);
    visit("first", self.first);
    visit("last", self.last);
    visit("from", self.from);
    visit("to", self.to);
    visit("target", self.target);
  }
  bool operator==(const KvExport&) const = default;
};

// KV of one block, positions [from, to): keys [heads, positions, head_size], then values; from <
// to.
struct KvImport {
  static constexpr Kind kKind = Kind::kKvImport;
  SessionId session;
  Epoch epoch;
  uint32_t block = 0;
  uint32_t from = 0;
  uint32_t to = 0;
  HopType type = HopType::kF32;
  ByteVector payload;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
    visit("epoch", self.epoch);
    visit("block", self.block);
    visit("from", self.from);
    visit("to", self.to);
    visit("type", self.type);
    visit.Payload("payload", self.payload);
  }
  bool operator==(const KvImport&) const = default;
};

// "The KV of the first `positions` positions of `source`, a session held here as well, is the
// session's KV from now on." At least one.
struct KvCopy {
  static constexpr Kind kKind = Kind::kKvCopy;
  SessionId session;
  Epoch epoch;
  SessionId source;
  uint32_t positions = 0;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
    visit("epoch", self.epoch);
    visit("source", self.source);
    visit("positions", self.positions);
  }
  bool operator==(const KvCopy&) const = default;
};

// "Send the inputs that you kept for your successor, positions [from, to), to `target` again."
struct Replay {
  static constexpr Kind kKind = Kind::kReplay;
  SessionId session;
  Epoch epoch;
  uint32_t from = 0;
  uint32_t to = 0;
  NodeId target;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
    visit("epoch", self.epoch);
    visit("from", self.from);
    visit("to", self.to);
    visit("target", self.target);
  }
  bool operator==(const Replay&) const = default;
};

// --- Connection --------------------------------------------------------------------------------

// "I am about to go." The coordinator moves the volunteer's work and answers with bye.
struct Leave {
  static constexpr Kind kKind = Kind::kLeave;
  std::string reason;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("reason", self.reason);
  }
  bool operator==(const Leave&) const = default;
};

// Either side may ask (reply = false); the other returns the nonce with reply = true at once.
struct Ping {
  static constexpr Kind kKind = Kind::kPing;
  uint64_t nonce = 0;
  bool reply = false;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("nonce", self.nonce);
    visit("reply", self.reply);
  }
  bool operator==(const Ping&) const = default;
};

// Something that was asked could not be done. session 0: the whole connection is meant.
struct ErrorFrame {
  static constexpr Kind kKind = Kind::kError;
  uint8_t code = 0;  // A shoal::Code.
  SessionId session;
  Epoch epoch;
  uint32_t generation = 0;  // Not 0: this assignment could not be loaded.
  std::string detail;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("code", self.code);
    visit("session", self.session);
    visit("epoch", self.epoch);
    visit("generation", self.generation);
    visit("detail", self.detail);
  }
  bool operator==(const ErrorFrame&) const = default;
};

// Last frame before closing.
struct Bye {
  static constexpr Kind kKind = Kind::kBye;
  std::string reason;

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("reason", self.reason);
  }
  bool operator==(const Bye&) const = default;
};

// What one step cost at one stage. Durations in microseconds by the volunteer's own clock.
struct Report {
  static constexpr Kind kKind = Kind::kReport;
  SessionId session;  // Of the first row.
  Epoch epoch;
  uint32_t position = 0;  // Of the first row.
  uint32_t rows = 0;
  uint32_t first = 0;  // The stage's blocks.
  uint32_t last = 0;
  uint64_t queue_us = 0;    // From arrival to the start of the run.
  uint64_t compute_us = 0;  // The executor's run.
  uint64_t encode_us = 0;   // Decoding the input and encoding the output.
  uint64_t bytes_in = 0;    // The frame as it came.
  uint64_t bytes_out = 0;   // The frames sent because of it.

  template <typename V, typename S>
  static void Fields(V& visit, S& self) {
    visit("session", self.session);
    visit("epoch", self.epoch);
    visit("position", self.position);
    visit("rows", self.rows);
    visit("first", self.first);
    visit("last", self.last);
    visit("queue_us", self.queue_us);
    visit("compute_us", self.compute_us);
    visit("encode_us", self.encode_us);
    visit("bytes_in", self.bytes_in);
    visit("bytes_out", self.bytes_out);
  }
  bool operator==(const Report&) const = default;
};

using Body =
    std::variant<Hello, Profile, Assign, Ready, Open, Step, Token, Cancel, Release, Rollback,
                 KvExport, KvImport, Replay, Leave, Ping, ErrorFrame, Bye, Report, ExpertTable,
                 ExpertRows, ExpertSums, ExpertRefusal, ExpertUsage, KvCopy>;

struct Frame {
  NodeId to;
  NodeId from;
  Body body;
  bool operator==(const Frame&) const = default;
};

}  // namespace shoal::wire
