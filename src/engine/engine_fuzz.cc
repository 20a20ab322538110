// Any bytes as a stage graph: loading must answer, and what loads must run.
#include <vector>

#include "base/check.h"
#include "engine/stage.h"
#include "onnx/read.h"

namespace {

// Gives small ranges of ones, and of no more than 1 MiB all together.
class FakeSource : public shoal::engine::WeightSource {
 public:
  shoal::Result<shoal::Bytes> Map(const shoal::onnx::ExternalData& range) override {
    total_ += range.length;
    if (range.length > kBytesMax || total_ > kBytesMax) {
      return shoal::Fail(shoal::Code::kResourceExhausted, "too large for a fuzz target");
    }
    return shoal::Bytes(ones_).first(range.length);
  }

 private:
  static constexpr uint64_t kBytesMax = 1 << 20;
  std::vector<uint8_t> ones_ = std::vector<uint8_t>(kBytesMax, 1);
  uint64_t total_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoal;
  using namespace shoal::engine;
  const Result<onnx::Model> model = onnx::Parse({data, size});
  if (!model) return 0;
  FakeSource source;
  Result<std::unique_ptr<Stage>> loaded =
      Stage::Load(*model, source, {.scratch_bytes_max = 1 << 24, .kv_bytes_max = 1 << 24});
  if (!loaded) return 0;
  Stage& stage = **loaded;
  const StageShape& shape = stage.shape();
  if (!stage.Open(SessionId{1}, 1) || !stage.Open(SessionId{2}, 1)) return 0;
  const Row rows[] = {{SessionId{1}, 0, true}, {SessionId{2}, 0, false}};
  const int32_t tokens[] = {0, static_cast<int32_t>(shape.vocab_size) - 1};
  if (shape.input_width > 1 << 20) return 0;
  const std::vector<float> hidden(2 * shape.input_width, 0.5f);
  const Result<Output> output =
      stage.Run(rows, shape.takes_tokens ? Input::Tokens(tokens) : Input::Hidden(hidden));
  if (!output) {
    CHECK(*stage.Position(SessionId{1}) == 0);
    return 0;
  }
  CHECK(*stage.Position(SessionId{1}) == 1);
  CHECK(output->rows.size() == (shape.gives_logits ? 1 : 2));
  CHECK(stage.ExportKv(SessionId{2}, 0, 1)->size() == shape.kv_bytes_per_position);
  return 0;
}
