// engine_bench: how fast the engine runs a stage of random weights; one line of JSON. With --write,
// the stage goes to a folder for other executors instead, with an input and its output
// (tests/golden/engine is made this way). bench/engine and e2e/engine_shapes_test.ts run it.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "base/check.h"
#include "base/random.h"
#include "engine/kernels/block_kernels.h"
#include "onnx/write.h"
#include "volunteer/engine_timing.h"
#include "volunteer/random_stage.h"
#include "volunteer/thread_pool.h"

namespace shoal::volunteer {
namespace {

struct Arguments {
  RandomStageOptions stage;
  size_t threads = 1;
  bool exact = false;
  std::string write;
};

using Files = std::vector<std::pair<std::string, ByteVector>>;

// Some rows of hidden states and what they come out as.
void AddExample(RandomStage& random, bool exact, Files& files) {
  constexpr uint32_t kRows = 9;
  auto stage = engine::Stage::Load(random.model, random, {.exact = exact});
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
  if (arguments.stage.format != "int8") AddExample(random, arguments.exact, files);
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
  const auto stage =
      engine::Stage::Load(random.model, random, {.exact = arguments.exact, .parallel = &pool});
  CHECK_MSG(stage.has_value(), stage.error().ToString());
  const auto times = TimeStage(**stage, 64);
  CHECK_MSG(times.has_value(), times.error().ToString());
  const auto longer = TimeStage(**stage, 512);
  CHECK_MSG(longer.has_value(), longer.error().ToString());
  const double decode_ms = std::min(times->decode_ms, longer->decode_ms);
  std::printf(
      "{\"executor\": \"shoal\", \"kernels\": \"%s\", \"format\": \"%s\", \"threads\": %zu, "
      "\"decode_ms\": %.2f, \"decode8_ms\": %.2f, \"prefill64_ms\": %.1f, \"prefill512_ms\": %.1f, "
      "\"weight_gbps\": %.1f, \"read_gbps\": %.1f}\n",
      engine::BlockKernelsHere().back()->name, arguments.stage.format.c_str(), arguments.threads,
      decode_ms, std::min(times->decode8_ms, longer->decode8_ms), times->prefill_ms,
      longer->prefill_ms, static_cast<double>((*stage)->shape().weight_bytes) / decode_ms / 1e6,
      read_gbps);
  return 0;
}

}  // namespace
}  // namespace shoal::volunteer

namespace shoal::volunteer {
namespace {

constexpr const char* kUsage =
    "engine_bench [--format q4|q8|f32|int8] [--layers N] [--threads N] [--exact] [--seed N]\n"
    "             [--tiny | --shape HIDDEN,FFN,HEADS,KV_HEADS,HEAD_SIZE] [--write FOLDER]\n";

bool ParseShape(const char* text, RandomStageOptions& stage) {
  stage.positions = 32;
  return std::sscanf(text, "%zu,%zu,%zu,%zu,%zu", &stage.hidden, &stage.ffn, &stage.heads,
                     &stage.kv_heads, &stage.head_size) == 5;
}

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--exact") {
      arguments.exact = true;
      arguments.stage.accuracy_level = 1;
    } else if (argument == "--tiny") {
      arguments.stage.layers = 2;
      ParseShape("64,96,4,2,16", arguments.stage);
    } else if (argument == "--shape" && has_value) {
      if (!ParseShape(argv[++i], arguments.stage)) return false;
    } else if (argument == "--seed" && has_value) {
      arguments.stage.seed = static_cast<uint64_t>(std::atoll(argv[++i]));
    } else if (argument == "--layers" && has_value) {
      arguments.stage.layers = static_cast<size_t>(std::max(1, std::atoi(argv[++i])));
    } else if (argument == "--format" && has_value) {
      arguments.stage.format = argv[++i];
    } else if (argument == "--threads" && has_value) {
      arguments.threads = static_cast<size_t>(std::max(1, std::atoi(argv[++i])));
    } else if (argument == "--write" && has_value) {
      arguments.write = argv[++i];
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace shoal::volunteer

int main(int argc, char** argv) {
  shoal::volunteer::Arguments arguments;
  if (!shoal::volunteer::Parse(argc, argv, arguments)) {
    std::fputs(shoal::volunteer::kUsage, stderr);
    return 2;
  }
  return shoal::volunteer::Main(arguments);
}
