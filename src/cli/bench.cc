// shoal bench engine PACK: how fast this machine runs a stage of the pack with the CPU engine,
// beside how fast it reads memory.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>

#include "cli/commands.h"
#include "cli/lending.h"
#include "engine/kernels/block_kernels.h"
#include "onnx/read.h"
#include "store/stage_weights.h"
#include "volunteer/engine_timing.h"
#include "volunteer/thread_pool.h"

namespace shoal::cli {

namespace {

struct BenchArguments {
  std::string pack;
  uint32_t first = 0;
  uint32_t last = 0;  // 0: all blocks.
  size_t threads = 0;
  uint32_t prefill_rows = 512;
  bool exact = false;
  std::string kv = "f32";
};

struct Figures {
  engine::StageShape shape;
  volunteer::EngineTimes times;
  double read_gbps = 0;
};

Result<Figures> Measure(const BenchArguments& arguments, engine::KvFormat kv) {
  ASSIGN_OR_RETURN(const store::Pack pack, store::Pack::Open(arguments.pack));
  const uint32_t last = arguments.last != 0 ? arguments.last : pack.manifest().block_count();
  const uint32_t positions =
      std::min(pack.manifest().model.positions, std::max<uint32_t>(arguments.prefill_rows, 32));
  ASSIGN_OR_RETURN(const store::StageGraph graph,
                   store::JoinStage(pack, arguments.first, last, positions));
  RETURN_IF_ERROR(VerifyStageWeights(pack, graph));
  ASSIGN_OR_RETURN(const onnx::Model model, onnx::Parse(graph.onnx));
  ASSIGN_OR_RETURN(const auto weights, store::StageWeights::Open(pack, graph));
  volunteer::ThreadPool pool(arguments.threads);
  Figures figures;
  figures.read_gbps = volunteer::ReadBandwidth(pool);
  engine::StageOptions options;
  options.exact = arguments.exact;
  options.kv_format = kv;
  options.parallel = &pool;
  ASSIGN_OR_RETURN(const auto stage, engine::Stage::Load(model, *weights, options));
  figures.shape = stage->shape();
  ASSIGN_OR_RETURN(figures.times, volunteer::TimeStage(*stage, arguments.prefill_rows));
  return figures;
}

int RunBench(const BenchArguments& arguments) {
  const auto kv = ParseKvFormat(arguments.kv);
  if (!kv) return ReportUsage(kv.error().detail);
  const auto figures = Measure(arguments, *kv);
  if (!figures) {
    if (figures.error().code == Code::kOutOfRange) return ReportUsage(figures.error().detail);
    return ReportFailure(figures.error());
  }
  const volunteer::EngineTimes& times = figures->times;
  const double weight_gbps =
      static_cast<double>(figures->shape.weight_bytes) / times.decode_ms / 1e6;
  fmt::print("kernels   {}, {} thread{}\n", engine::BlockKernelsHere().back()->name,
             arguments.threads, arguments.threads == 1 ? "" : "s");
  fmt::print("decode    {:.2f} ms a token, {:.1f} tokens/s\n", times.decode_ms,
             1000 / times.decode_ms);
  fmt::print("decode 8  {:.2f} ms for a token of eight sessions, {:.1f} tokens/s\n",
             times.decode8_ms, 8000 / times.decode8_ms);
  fmt::print("prefill   {:.1f} ms for {} tokens, {:.1f} tokens/s\n", times.prefill_ms,
             times.prefill_rows, 1000 * times.prefill_rows / times.prefill_ms);
  fmt::print("weights   {:.1f} GB/s in decode; memory is read at {:.1f} GB/s\n", weight_gbps,
             figures->read_gbps);
  return kDone;
}

}  // namespace

void AddBench(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("bench", "how fast this machine is");
  command->require_subcommand(1);
  CLI::App* engine = command->add_subcommand("engine", "run a stage of a pack on the CPU");
  const auto arguments = std::make_shared<BenchArguments>();
  arguments->threads = std::max(1u, std::thread::hardware_concurrency());
  engine->add_option("pack", arguments->pack, "the pack's folder")->required();
  engine->add_option("--first", arguments->first, "the first block; default: 0");
  engine->add_option("--last", arguments->last, "one past the last block; default: all");
  engine->add_option("--threads", arguments->threads, "default: one a processor")
      ->check(CLI::Range(1, 256));
  engine->add_option("--prefill", arguments->prefill_rows, "tokens of the prefill; default: 512")
      ->check(CLI::Range(1, 4096));
  engine->add_flag("--exact", arguments->exact, "float activations for q4 and q8 weights");
  engine->add_option("--kv", arguments->kv, "keys and values: f32 (default), f16, q8");
  engine->callback([arguments, &exit_code] { exit_code = RunBench(*arguments); });
}

}  // namespace shoal::cli
