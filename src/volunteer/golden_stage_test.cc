// tests/golden/engine holds stages with an input and its output, to the bit: the same on every
// processor, and in a tab (web/volunteer/executors/shoal_test.ts reads the same files).
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>

#include "engine/kernels/block_kernels.h"
#include "engine/stage.h"
#include "onnx/read.h"
#include "volunteer/thread_pool.h"

namespace shoal::volunteer {
namespace {

ByteVector ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return ByteVector(std::istreambuf_iterator<char>(file), {});
}

std::vector<float> ReadFloats(const std::string& path) {
  const ByteVector bytes = ReadFile(path);
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

class OneBlob : public engine::WeightSource {
 public:
  explicit OneBlob(ByteVector blob) : blob_(std::move(blob)) {}
  Result<Bytes> Map(const onnx::ExternalData& range) override {
    return Bytes(blob_).subspan(range.offset, range.length);
  }

 private:
  ByteVector blob_;
};

TEST(GoldenStage, HasTheSameBitsOnEveryKernelAndThreadCount) {
  for (const std::string format : {"q4", "q8", "f32"}) {
    const std::string folder = std::string(SHOAL_SOURCE_DIR "/tests/golden/engine/") + format + "/";
    const auto model = onnx::Parse(ReadFile(folder + "model.onnx"));
    ASSERT_TRUE(model) << model.error().ToString();
    OneBlob weights(ReadFile(folder + "weights.bin"));
    const std::vector<float> input = ReadFloats(folder + "input.f32");
    const std::vector<float> expected = ReadFloats(folder + "expected.f32");
    for (const engine::BlockKernels* kernels : engine::BlockKernelsHere()) {
      for (const size_t threads : {1, 3}) {
        ThreadPool pool(threads);
        const auto stage =
            engine::Stage::Load(*model, weights, {.parallel = &pool, .block_kernels = kernels});
        ASSERT_TRUE(stage) << stage.error().ToString();
        std::vector<engine::Row> rows;
        const size_t count = input.size() / (*stage)->shape().input_width;
        for (uint32_t r = 0; r < count; ++r) rows.push_back({SessionId{1}, r, false});
        ASSERT_TRUE((*stage)->Open(SessionId{1}, 32));
        const auto output = (*stage)->Run(rows, engine::Input::Hidden(input));
        ASSERT_TRUE(output) << output.error().ToString();
        EXPECT_EQ(std::vector<float>(output->values.begin(), output->values.end()), expected)
            << format << " " << kernels->name << " " << threads;
      }
    }
  }
}

}  // namespace
}  // namespace shoal::volunteer
