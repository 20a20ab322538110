// shoal_engine.wasm: the CPU engine for a tab. One stage an instance; web/volunteer/executors wraps
// it in types.
//
// Conventions as in exports.cc: functions return 0 or a shoal::Code and leave a result or a
// sentence behind. The module has one import, the reader of weights; call _initialize first, once.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/str_cat.h"
#include "engine/kernels/block_kernels.h"
#include "engine/kernels/kernel_trial.h"
#include "engine/stage.h"
#include "onnx/read.h"
#if defined(SHOAL_WASM_THREADS)
#include "wasm/worker_pool.h"
#endif

#define SHOAL_EXPORT(name) extern "C" __attribute__((export_name(#name)))

// Writes bytes [offset, offset + bytes) of the external data called `location` to `target`, at
// once; 1 if it could.
extern "C" __attribute__((import_module("shoal"), import_name("read_weight"))) uint32_t
ShoalReadWeight(const char* location, uint32_t location_bytes, double offset, uint32_t bytes,
                void* target);

namespace shoal {
namespace {

// Holds only the ranges that are mapped at a time.
class ImportedWeights : public engine::WeightSource {
 public:
  Result<Bytes> Map(const onnx::ExternalData& range) override {
    if (range.length > UINT32_MAX) {
      return Fail(Code::kResourceExhausted, StrCat("a weight of ", range.length, " bytes"));
    }
    // Aligned as the blobs align their tensors.
    const auto bytes = static_cast<uint32_t>(range.length);
    auto* const memory =
        static_cast<uint8_t*>(std::aligned_alloc(64, (range.length + 63) / 64 * 64));
    if (memory == nullptr) {
      return Fail(Code::kResourceExhausted,
                  StrCat("no memory left for a weight of ", FormatSize(range.length)));
    }
    views_.push_back({range, Memory(memory)});
    if (ShoalReadWeight(range.location.data(), static_cast<uint32_t>(range.location.size()),
                        static_cast<double>(range.offset), bytes, memory) != 1) {
      return Fail(Code::kUnavailable, StrCat("bytes [", range.offset, ", +", range.length,
                                             ") of blob ", range.location, " cannot be read"));
    }
    return Bytes(memory, bytes);
  }

  void Release(const onnx::ExternalData& range) override {
    std::erase_if(views_, [&](const View& view) { return view.range == range; });
  }

 private:
  struct Free {
    void operator()(uint8_t* memory) const { std::free(memory); }
  };
  using Memory = std::unique_ptr<uint8_t[], Free>;
  struct View {
    onnx::ExternalData range;
    Memory memory;
  };
  std::vector<View> views_;
};

// One row of a run, as the caller writes it.
struct RawRow {
  uint32_t session;
  uint32_t position;
  uint32_t want_logits;
};

struct Engine {
  ImportedWeights weights;
  std::unique_ptr<engine::KernelTrial> trial;  // Until a stage is loaded.
  std::unique_ptr<engine::Stage> stage;
  std::vector<engine::Row> rows;
  // What the last call left behind.
  std::string text;
  ByteVector bytes;
  Bytes result;
};
Engine state;
#if defined(SHOAL_WASM_THREADS)
WorkerPool pool;
engine::Parallel* const parallel = &pool;
#else
engine::Parallel* const parallel = nullptr;
#endif

uint32_t Failed(const Error& error) {
  state.text = error.detail.empty() ? "no detail" : error.detail;
  state.result = AsBytes(state.text);
  return static_cast<uint32_t>(error.code);
}

uint32_t Done(const Status& status) {
  state.result = {};
  return status ? 0 : Failed(status.error());
}

// Whether there is a stage; else the code to return.
uint32_t CheckLoaded() {
  if (state.stage) return 0;
  return Failed({Code::kFailedPrecondition, "no stage is loaded"});
}

std::string Describe(const engine::StageShape& shape, const engine::BlockKernels& kernels) {
  return StrCat("{\"takes_tokens\":", shape.takes_tokens ? "true" : "false",
                ",\"gives_logits\":", shape.gives_logits ? "true" : "false",
                ",\"input_width\":", shape.input_width, ",\"output_width\":", shape.output_width,
                ",\"layers\":", shape.layers, ",\"positions_max\":", shape.positions_max,
                ",\"kv_bytes_per_position\":", shape.kv_bytes_per_position,
                ",\"weight_bytes\":", shape.weight_bytes, ",\"kernels\":\"", kernels.name, "\"}");
}

}  // namespace
}  // namespace shoal

using shoal::state;

SHOAL_EXPORT(shoal_alloc) void* ShoalAlloc(uint32_t bytes) {
  return std::malloc(bytes == 0 ? 1 : bytes);
}
SHOAL_EXPORT(shoal_free) void ShoalFree(void* memory) { std::free(memory); }
SHOAL_EXPORT(shoal_result_data) const void* ShoalResultData() { return state.result.data(); }
SHOAL_EXPORT(shoal_result_bytes) uint32_t ShoalResultBytes() {
  return static_cast<uint32_t>(state.result.size());
}

#if defined(SHOAL_WASM_THREADS)
// How many instances take part in loops, this one included. Once, before shoal_engine_load.
SHOAL_EXPORT(shoal_engine_threads) void ShoalEngineThreads(uint32_t threads) {
  shoal::pool.SetThreads(threads);
}
// For the instance of another thread, once its stack pointer is set: takes part in loops, and does
// not return.
SHOAL_EXPORT(shoal_thread_work) void ShoalThreadWork() { shoal::pool.Work(); }
// For the same: shoal_thread_work has trapped.
SHOAL_EXPORT(shoal_thread_broke) void ShoalThreadBroke() { shoal::pool.Break(); }
#endif

// How many sets of kernels for q4 and q8 weights there are; the last one is best on most machines,
// the first one is right everywhere.
SHOAL_EXPORT(shoal_kernels) uint32_t ShoalKernels() {
  return static_cast<uint32_t>(shoal::engine::BlockKernelsHere().size());
}
// Has one of them multiply something small so many times; 1 if it was right.
SHOAL_EXPORT(shoal_kernels_try) uint32_t ShoalKernelsTry(uint32_t kernels, uint32_t times) {
  if (!state.trial) state.trial = std::make_unique<shoal::engine::KernelTrial>();
  const auto here = shoal::engine::BlockKernelsHere();
  return kernels < here.size() && state.trial->Run(*here[kernels], times) ? 1 : 0;
}

// A joined graph and which kernels it uses -> what it is, as JSON. Replaces nothing: an instance
// loads once.
SHOAL_EXPORT(shoal_engine_load)
uint32_t ShoalEngineLoad(const uint8_t* graph, uint32_t bytes, uint32_t rows_max,
                         double kv_bytes_max, uint32_t exact, uint32_t kernels) {
  if (state.stage) return shoal::Failed({shoal::Code::kAlreadyExists, "a stage is loaded already"});
  const auto model = shoal::onnx::Parse(shoal::Bytes(graph, bytes));
  if (!model) return shoal::Failed(model.error());
  shoal::engine::StageOptions options;
  options.rows_max = rows_max;
  options.kv_bytes_max = static_cast<uint64_t>(kv_bytes_max);
  options.exact = exact != 0;
  options.parallel = shoal::parallel;
  const auto here = shoal::engine::BlockKernelsHere();
  state.trial.reset();
  options.block_kernels = here[std::min<size_t>(kernels, here.size() - 1)];
  auto stage = shoal::engine::Stage::Load(*model, state.weights, options);
  if (!stage) return shoal::Failed(stage.error());
  state.stage = *std::move(stage);
  state.text = shoal::Describe(state.stage->shape(), *options.block_kernels);
  state.result = shoal::AsBytes(state.text);
  return 0;
}

SHOAL_EXPORT(shoal_engine_open)
uint32_t ShoalEngineOpen(uint32_t session, uint32_t capacity) {
  if (const uint32_t code = shoal::CheckLoaded()) return code;
  return shoal::Done(state.stage->Open(shoal::SessionId{session}, capacity));
}

SHOAL_EXPORT(shoal_engine_release)
uint32_t ShoalEngineRelease(uint32_t session) {
  if (const uint32_t code = shoal::CheckLoaded()) return code;
  return shoal::Done(state.stage->Release(shoal::SessionId{session}));
}

SHOAL_EXPORT(shoal_engine_rollback)
uint32_t ShoalEngineRollback(uint32_t session, uint32_t position) {
  if (const uint32_t code = shoal::CheckLoaded()) return code;
  return shoal::Done(state.stage->Rollback(shoal::SessionId{session}, position));
}

// Rows (session, position, want_logits: three u32 each) and one input of `values` tokens or floats
// -> output rows [output rows, width] floats.
SHOAL_EXPORT(shoal_engine_run)
uint32_t ShoalEngineRun(const void* rows, uint32_t row_count, const void* input, uint32_t values) {
  if (const uint32_t code = shoal::CheckLoaded()) return code;
  state.rows.clear();
  const auto* raw = static_cast<const shoal::RawRow*>(rows);
  for (uint32_t r = 0; r < row_count; ++r) {
    state.rows.push_back(
        {shoal::SessionId{raw[r].session}, raw[r].position, raw[r].want_logits != 0});
  }
  const auto given =
      state.stage->shape().takes_tokens
          ? shoal::engine::Input::Tokens({static_cast<const int32_t*>(input), values})
          : shoal::engine::Input::Hidden({static_cast<const float*>(input), values});
  const auto output = state.stage->Run(state.rows, given);
  if (!output) return shoal::Failed(output.error());
  state.result = {reinterpret_cast<const uint8_t*>(output->values.data()),
                  output->values.size_bytes()};
  return 0;
}

// engine::Stage::ExportKv's bytes.
SHOAL_EXPORT(shoal_engine_export_kv)
uint32_t ShoalEngineExportKv(uint32_t session, uint32_t from, uint32_t to) {
  if (const uint32_t code = shoal::CheckLoaded()) return code;
  auto bytes = state.stage->ExportKv(shoal::SessionId{session}, from, to);
  if (!bytes) return shoal::Failed(bytes.error());
  state.bytes = *std::move(bytes);
  state.result = state.bytes;
  return 0;
}

SHOAL_EXPORT(shoal_engine_import_kv)
uint32_t ShoalEngineImportKv(uint32_t session, uint32_t from, uint32_t to, const uint8_t* data,
                             uint32_t bytes) {
  if (const uint32_t code = shoal::CheckLoaded()) return code;
  return shoal::Done(
      state.stage->ImportKv(shoal::SessionId{session}, from, to, shoal::Bytes(data, bytes)));
}
