// Stage: runs a stage graph in float32 on the CPU.
//
// A stage is a run of consecutive blocks as one ONNX graph that keeps the graph contract (io.h): it
// takes token ids or hidden states, and gives hidden states or logits. One row is one token of one
// session; a call may mix rows of many sessions, and of one session as many as it likes.
//
// Results are batch-invariant: every output element is summed in one fixed order that depends on
// nothing but the row itself and its session's past, so that a row has the same bits alone, among
// others, or inside a prefill; natively and in WebAssembly (kernels/math.h has the exponential).
//
//   ASSIGN_OR_RETURN(auto stage, Stage::Load(model, weights, {}));
//   RETURN_IF_ERROR(stage->Open(session, 512));
//   ASSIGN_OR_RETURN(Output output, stage->Run(rows, Input::Tokens(ids)));
//
// One call at a time: nothing here is synchronised.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "engine/kernels/kv_rows.h"
#include "engine/parallel.h"
#include "onnx/model.h"

namespace shoal::engine {

struct BlockKernels;

// Where the bytes of external initialisers come from: a memory-mapped pack, a cache in a tab.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Exactly range.length bytes. The view must stay valid as long as the stage that asked lives.
  virtual Result<Bytes> Map(const onnx::ExternalData& range) = 0;
  // The engine holds these bytes in a form of its own and reads the view no more; it may map the
  // range again.
  virtual void Release(const onnx::ExternalData&) {}
};

struct StageOptions {
  // Of one Run.
  uint32_t rows_max = 4096;
  // The working memory of one Run, without weights and KV.
  uint64_t scratch_bytes_max = uint64_t{2} << 30;
  uint32_t sessions_max = 1024;
  // What all open sessions together may need when every one of them is full.
  uint64_t kv_bytes_max = uint64_t{8} << 30;
  // Of a session whose graph sets no limit; a graph with rotary tables ends where they end.
  uint32_t positions_max = 1 << 20;
  // Multiply q4 and q8 weights with float activations. Else activations are rounded to int8 in
  // blocks of 32 (kernels/block_rows.h), which is several times as fast.
  bool exact = false;
  // How sessions' keys and values are kept (kernels/kv_rows.h); f32 is exact.
  KvFormat kv_format = KvFormat::kF32;
  // What loops are spread over; null for the caller's thread alone. Must outlive the stage. The
  // result does not depend on it.
  Parallel* parallel = nullptr;
  // Null for the best that this machine has. The result does not depend on it.
  const BlockKernels* block_kernels = nullptr;
};

// One of the values that a row of input or output is made of.
struct RowValue {
  std::string name;  // As in the graph.
  uint32_t width = 0;
  bool operator==(const RowValue&) const = default;
};

// What a stage is, as its graph says it.
struct StageShape {
  bool takes_tokens = false;  // Else hidden states.
  bool gives_logits = false;  // Else hidden states.
  uint32_t input_width = 0;   // Hidden size; 1 for tokens.
  uint32_t output_width = 0;  // Hidden size, or the vocabulary's for logits.
  // One, but where the graph begins or ends within a layer: then several, which lie side by side
  // in every row in the order of RowValueKind (io.h); their widths add up to the above.
  std::vector<RowValue> inputs;
  std::vector<RowValue> outputs;
  uint32_t vocab_size = 0;  // Token ids are below this; 0 unless takes_tokens.
  uint32_t layers = 0;      // With a KV cache of their own.
  uint32_t positions_max = 0;
  uint64_t kv_bytes_per_position = 0;  // Of one session, all layers, in the options' kv_format.
  uint64_t weight_bytes = 0;           // As stored.
};

// One token of one session.
struct Row {
  SessionId session;
  // Must be the session's next one: Position(session), then one more for each further row.
  uint32_t position = 0;
  // Whether the logits of this row are asked for; no meaning in a stage that gives hidden states.
  bool want_logits = false;
};

// One of the two, whichever the stage takes.
struct Input {
  std::span<const int32_t> tokens;  // [rows]
  std::span<const float> hidden;    // [rows, input width]

  static Input Tokens(std::span<const int32_t> tokens) { return {tokens, {}}; }
  static Input Hidden(std::span<const float> hidden) { return {{}, hidden}; }
};

// Views into the stage, valid until its next Run or its end.
struct Output {
  uint32_t width = 0;
  // For each output row the index of the input row that it belongs to, ascending: all rows for
  // hidden states, those with want_logits for logits.
  std::span<const uint32_t> rows;
  std::span<const float> values;  // [rows.size(), width]

  std::span<const float> Values(size_t index) const { return values.subspan(index * width, width); }
};

class Stage {
 public:
  // Checks the whole graph, so that Run cannot meet anything it does not know, and maps all
  // weights. The model may go afterwards; `weights` must stay as long as its views need it.
  // kInvalidArgument for a graph that is wrong or not a stage, kUnimplemented naming the node for
  // an operator (or an attribute, or an input of one) that this engine does not run.
  static Result<std::unique_ptr<Stage>> Load(const onnx::Model& model, WeightSource& weights,
                                             const StageOptions& options);
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  const StageShape& shape() const;

  // Admits a session of at most `capacity_positions` tokens. Memory comes in tiers as it fills.
  // kAlreadyExists; kOutOfRange past shape().positions_max; kResourceExhausted past the options'
  // sessions_max or kv_bytes_max.
  Status Open(SessionId session, uint32_t capacity_positions);
  // Forgets a session. kNotFound.
  Status Release(SessionId session);
  // Drops what is cached at `position` and after it. kNotFound; kOutOfRange past Position(session).
  Status Rollback(SessionId session, uint32_t position);
  // How many positions the session has cached, which is the next row's position. kNotFound.
  Result<uint32_t> Position(SessionId session) const;

  // The cache of positions [from, to) as float32, whatever the options' kv_format: [to - from,
  // layers, 2 (key, value), kv heads, head size], little-endian, layers in the order of their
  // blocks, keys after rotation. Exports of neighbouring ranges put end to end are the export of
  // both.
  // kNotFound; kOutOfRange unless from <= to <= Position(session).
  Result<ByteVector> ExportKv(SessionId session, uint32_t from, uint32_t to) const;
  // The reverse: appends positions [from, to) to a session that has exactly `from`, else
  // kFailedPrecondition. kInvalidArgument for a wrong number of bytes or values that are not
  // finite, kOutOfRange past the session's capacity.
  Status ImportKv(SessionId session, uint32_t from, uint32_t to, Bytes bytes);

  // Runs `rows` and appends them to their sessions. On failure all sessions are as before:
  // kInvalidArgument for no rows, an input of the wrong kind or size, a value that is not finite or
  // a token id outside of the vocabulary; kNotFound for a session that is not open;
  // kFailedPrecondition for a row that is not its session's next position; kOutOfRange past a
  // session's capacity; kResourceExhausted past rows_max or scratch_bytes_max; kDataLoss when a
  // row's result is not finite, as damaged weights make it.
  Result<Output> Run(std::span<const Row> rows, const Input& input);

 private:
  struct Impl;
  explicit Stage(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::engine
