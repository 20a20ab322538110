// engine_bench [--format q4|q8|f32|int8] [--layers N] [--tiny] [--threads N] [--exact] [--write
// DIR]: how fast the engine runs a stage of random weights; one line of JSON. With --write, the
// stage goes to DIR for other executors instead, with an input and its output (tests/golden/engine
// is made this way). bench/engine runs it beside them.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string_view>

#include "base/check.h"
#include "base/random.h"
#include "engine/kernels/block_kernels.h"
#include "onnx/write.h"
#include "volunteer/random_stage.h"
#include "volunteer/thread_pool.h"

namespace shoal::volunteer {
namespace {

using Clock = std::chrono::steady_clock;

struct Arguments {
  RandomStageOptions stage;
  size_t threads = 1;
  bool exact = false;
  std::string write;
};

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// GB/s of reading 1 GiB once with all threads; the best of three.
double ReadBandwidth(engine::Parallel& parallel) {
  constexpr size_t kWords = (size_t{1} << 30) / sizeof(uint64_t);
  const std::vector<uint64_t> words(kWords, 1);
  std::vector<uint64_t> sums(parallel.threads());
  double best_ms = 1e30;
  for (int round = 0; round < 3; ++round) {
    const auto start = Clock::now();
    parallel.For(sums.size(), [&](size_t part) {
      const size_t end = kWords * (part + 1) / sums.size();
      uint64_t lanes[32] = {};
      for (size_t i = kWords * part / sums.size(); i + 32 <= end; i += 32) {
        for (size_t lane = 0; lane < 32; ++lane) lanes[lane] += words[i + lane];
      }
      sums[part] = std::accumulate(lanes, lanes + 32, uint64_t{0});
    });
    best_ms = std::min(best_ms, MillisecondsSince(start));
  }
  CHECK(std::accumulate(sums.begin(), sums.end(), uint64_t{0}) > kWords / 2);
  return static_cast<double>(kWords * sizeof(uint64_t)) / best_ms / 1e6;
}

class Bench {
 public:
  Bench(const Arguments& arguments, RandomStage& random, engine::Parallel& parallel) {
    auto stage = engine::Stage::Load(random.model, random,
                                     {.exact = arguments.exact, .parallel = &parallel});
    CHECK_MSG(stage.has_value(), stage.error().ToString());
    stage_ = *std::move(stage);
    Random noise(3);
    hidden_.resize(kRowsMax * stage_->shape().input_width);
    for (float& value : hidden_) value = static_cast<float>(2 * noise.NextDouble() - 1);
  }

  const engine::StageShape& shape() const { return stage_->shape(); }

  // Milliseconds of one run of `rows` rows: of one session from position 0 if `prefill`, else of as
  // many sessions at position `past`. The best of `rounds`.
  double Time(uint32_t rows, bool prefill, uint32_t past, int rounds) {
    const uint32_t sessions = prefill ? 1 : rows;
    std::vector<engine::Row> list;
    for (uint32_t s = 0; s < sessions; ++s) {
      CHECK(stage_->Open(SessionId{s + 1}, 1024).has_value());
      if (past > 0) Prefill(SessionId{s + 1}, past);
    }
    for (uint32_t r = 0; r < rows; ++r) {
      list.push_back({SessionId{prefill ? 1 : r + 1}, prefill ? r : past, false});
    }
    double best_ms = 1e30;
    for (int round = 0; round < rounds; ++round) {
      const auto start = Clock::now();
      Run(list);
      best_ms = std::min(best_ms, MillisecondsSince(start));
      for (uint32_t s = 0; s < sessions; ++s) {
        CHECK(stage_->Rollback(SessionId{s + 1}, past).has_value());
      }
    }
    for (uint32_t s = 0; s < sessions; ++s) CHECK(stage_->Release(SessionId{s + 1}).has_value());
    return best_ms;
  }

 private:
  static constexpr uint32_t kRowsMax = 512;

  void Prefill(SessionId session, uint32_t rows) {
    std::vector<engine::Row> list;
    for (uint32_t r = 0; r < rows; ++r) list.push_back({session, r, false});
    Run(list);
  }
  void Run(std::span<const engine::Row> rows) {
    const auto input = std::span(hidden_).first(rows.size() * stage_->shape().input_width);
    const auto output = stage_->Run(rows, engine::Input::Hidden(input));
    CHECK_MSG(output.has_value(), output.error().ToString());
  }

  std::unique_ptr<engine::Stage> stage_;
  std::vector<float> hidden_;
};

using Files = std::vector<std::pair<std::string, ByteVector>>;

// Some rows of hidden states and what they come out as.
void AddExample(RandomStage& random, Files& files) {
  constexpr uint32_t kRows = 9;
  auto stage = engine::Stage::Load(random.model, random, {});
  CHECK_MSG(stage.has_value(), stage.error().ToString());
  const uint32_t width = (*stage)->shape().input_width;
  Random noise(5);
  std::vector<float> input(kRows * width);
  for (float& value : input) value = static_cast<float>(2 * noise.NextDouble() - 1);
  std::vector<engine::Row> rows;
  for (uint32_t r = 0; r < kRows; ++r) rows.push_back({SessionId{1}, r, false});
  CHECK((*stage)->Open(SessionId{1}, kRows).has_value());
  const auto output = (*stage)->Run(rows, engine::Input::Hidden(input));
  CHECK_MSG(output.has_value(), output.error().ToString());
  const auto add = [&](const char* name, std::span<const float> floats) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(floats.data());
    files.emplace_back(name, ByteVector(bytes, bytes + floats.size_bytes()));
  };
  add("input.f32", input);
  add("expected.f32", output->values);
}

// For other executors.
int Write(RandomStage& random, const Arguments& arguments) {
  Files files;
  if (arguments.stage.format != "int8") AddExample(random, files);
  files.emplace_back("model.onnx", onnx::Serialize(random.model));
  files.emplace_back(RandomStage::kBlob, std::move(random.blob));
  for (const auto& [name, bytes] : files) {
    const std::string path = arguments.write + "/" + name;
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) {
      std::fprintf(stderr, "cannot write %s\n", path.c_str());
      return 1;
    }
  }
  return 0;
}

int Main(const Arguments& arguments) {
  RandomStage random(arguments.stage);
  if (!arguments.write.empty()) return Write(random, arguments);
  ThreadPool pool(arguments.threads);
  const double read_gbps = ReadBandwidth(pool);
  Bench bench(arguments, random, pool);
  const double decode_ms = bench.Time(1, false, 16, 30);
  const double decode8_ms = bench.Time(8, false, 16, 8);
  const double prefill64_ms = bench.Time(64, true, 0, 4);
  const double prefill512_ms = bench.Time(512, true, 0, 2);
  const double weight_gbps = static_cast<double>(bench.shape().weight_bytes) / decode_ms / 1e6;
  std::printf(
      "{\"executor\": \"shoal\", \"kernels\": \"%s\", \"format\": \"%s\", \"threads\": %zu, "
      "\"decode_ms\": %.2f, \"decode8_ms\": %.2f, \"prefill64_ms\": %.1f, \"prefill512_ms\": %.1f, "
      "\"weight_gbps\": %.1f, \"read_gbps\": %.1f}\n",
      engine::BlockKernelsHere().back()->name, arguments.stage.format.c_str(), arguments.threads,
      decode_ms, decode8_ms, prefill64_ms, prefill512_ms, weight_gbps, read_gbps);
  return 0;
}

}  // namespace
}  // namespace shoal::volunteer

int main(int argc, char** argv) {
  shoal::volunteer::Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--exact") {
      arguments.exact = true;
    } else if (argument == "--tiny") {
      arguments.stage = {.format = arguments.stage.format,
                         .layers = 2,
                         .hidden = 64,
                         .ffn = 96,
                         .heads = 4,
                         .kv_heads = 2,
                         .head_size = 16,
                         .positions = 32};
    } else if (argument == "--layers" && has_value) {
      arguments.stage.layers = static_cast<size_t>(std::max(1, std::atoi(argv[++i])));
    } else if (argument == "--format" && has_value) {
      arguments.stage.format = argv[++i];
    } else if (argument == "--threads" && has_value) {
      arguments.threads = static_cast<size_t>(std::max(1, std::atoi(argv[++i])));
    } else if (argument == "--write" && has_value) {
      arguments.write = argv[++i];
    } else {
      std::fprintf(
          stderr,
          "engine_bench [--format q4|q8|f32|int8] [--layers N] [--tiny] [--threads N] [--exact] "
          "[--write DIR]\n");
      return 2;
    }
  }
  return shoal::volunteer::Main(arguments);
}
