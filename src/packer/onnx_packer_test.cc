// Packs of existing ONNX decoders against the logits that onnxruntime gave for the whole file
// (tests/golden/onnx/generate.mjs).
#include "packer/onnx_packer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <cmath>

#include "engine/stage.h"
#include "model/json.h"
#include "onnx/read.h"
#include "packer/testing.h"
#include "store/pack.h"
#include "store/stage_graph.h"
#include "store/stage_weights.h"

namespace shoal::packer {
namespace {

namespace fs = std::filesystem;

fs::path Golden(const std::string& kind) {
  return fs::path(SHOAL_SOURCE_DIR) / "tests" / "golden" / "onnx" / kind;
}

struct Reference {
  std::vector<int32_t> ids;
  std::vector<float> logits;  // [ids, vocab]
};

Reference ReadReference(const std::string& kind) {
  const auto text = model::ReadFile(Golden(kind) / "ref.json", 64 << 20);
  EXPECT_TRUE(text) << text.error().ToString();
  const boost::json::value value = boost::json::parse(*text);
  Reference reference;
  for (const auto& id : value.at("prompt_ids").as_array()) {
    reference.ids.push_back(id.to_number<int32_t>());
  }
  for (const auto& x : value.at("logits").as_array()) {
    reference.logits.push_back(x.to_number<float>());
  }
  return reference;
}

// Blocks [first, last) of a pack in the engine, with float activations throughout.
struct LoadedStage {
  std::unique_ptr<store::StageWeights> weights;
  std::unique_ptr<engine::Stage> stage;
};

Result<LoadedStage> LoadStage(const store::Pack& pack, uint32_t first, uint32_t last) {
  ASSIGN_OR_RETURN(const store::StageGraph graph, store::JoinStage(pack, first, last, 32));
  ASSIGN_OR_RETURN(const onnx::Model model, onnx::Parse(graph.onnx));
  LoadedStage loaded;
  ASSIGN_OR_RETURN(loaded.weights, store::StageWeights::Open(pack, graph));
  engine::StageOptions options;
  options.exact = true;
  ASSIGN_OR_RETURN(loaded.stage, engine::Stage::Load(model, *loaded.weights, options));
  RETURN_IF_ERROR(loaded.stage->Open(SessionId{1}, 32));
  return loaded;
}

// Logits of all ids, `step` tokens at a time, through two stages.
Result<std::vector<float>> RunChain(const store::Pack& pack, uint32_t cut,
                                    const std::vector<int32_t>& ids, size_t step) {
  ASSIGN_OR_RETURN(const LoadedStage front, LoadStage(pack, 0, cut));
  ASSIGN_OR_RETURN(const LoadedStage back, LoadStage(pack, cut, pack.manifest().block_count()));
  std::vector<float> logits;
  for (size_t at = 0; at < ids.size(); at += step) {
    std::vector<engine::Row> rows;
    for (size_t i = at; i < std::min(ids.size(), at + step); ++i) {
      rows.push_back({SessionId{1}, static_cast<uint32_t>(i), true});
    }
    const auto tokens = std::span(ids).subspan(at, rows.size());
    ASSIGN_OR_RETURN(const engine::Output hidden,
                     front.stage->Run(rows, engine::Input::Tokens(tokens)));
    ASSIGN_OR_RETURN(const engine::Output output,
                     back.stage->Run(rows, engine::Input::Hidden(hidden.values)));
    logits.insert(logits.end(), output.values.begin(), output.values.end());
  }
  return logits;
}

struct Kind {
  const char* name;
  // Largest difference over the largest logit. q4: scales are rounded to float16. f16: onnxruntime
  // computed the reference in float16.
  double tolerance;
};

class OnnxModels : public testing::TestWithParam<Kind> {};

TEST_P(OnnxModels, ComputeWhatTheWholeFileDoes) {
  const auto& [kind, tolerance] = GetParam();
  const ScratchFolder scratch;
  PackOptions options;
  options.checkpoint = Golden(kind) / "model.onnx";
  options.pack = scratch.path() / "pack";
  options.weights.clear();
  const auto outcome = PackOnnx(options);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  const auto pack = store::Pack::Open(options.pack);
  ASSERT_TRUE(pack) << pack.error().ToString();
  EXPECT_TRUE(pack->Verify([](uint64_t, uint64_t) {}).empty());
  const Reference reference = ReadReference(kind);
  for (const uint32_t cut : {1u, 2u, 3u, 4u}) {
    for (const size_t step : {size_t{1}, size_t{5}, reference.ids.size()}) {
      const auto logits = RunChain(*pack, cut, reference.ids, step);
      ASSERT_TRUE(logits) << logits.error().ToString();
      ASSERT_EQ(logits->size(), reference.logits.size());
      double most = 0;
      double difference = 0;
      for (size_t i = 0; i < logits->size(); ++i) {
        most = std::max<double>(most, std::abs(reference.logits[i]));
        difference = std::max<double>(difference, std::abs((*logits)[i] - reference.logits[i]));
      }
      EXPECT_LT(difference / most, tolerance) << kind << " cut " << cut << " step " << step;
    }
  }
  const auto again = PackOnnx(options);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_TRUE(again->unchanged);
}

INSTANTIATE_TEST_SUITE_P(Golden, OnnxModels,
                         testing::Values(Kind{"genai", 1e-5}, Kind{"optimum", 1e-5},
                                         Kind{"optimum_qk_norm", 1e-5}, Kind{"gpt2_merged", 1e-5},
                                         Kind{"genai_q4", 1e-3}, Kind{"genai_f16", 1e-2}),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(OnnxFiles, MustLieInTheModelsFolder) {
  const ScratchFolder scratch;
  const auto text = model::ReadFile(Golden("genai") / "model.onnx", 64 << 20);
  ASSERT_TRUE(text);
  // Of the same length, so that no other field changes.
  std::string outside = *text;
  for (size_t at = outside.find("model.onnx.data"); at != std::string::npos;
       at = outside.find("model.onnx.data", at + 1)) {
    outside.replace(at, 15, "../secrets.data");
  }
  std::ofstream(scratch.path() / "model.onnx", std::ios::binary) << outside;
  PackOptions options;
  options.checkpoint = scratch.path() / "model.onnx";
  options.pack = scratch.path() / "pack";
  options.weights.clear();
  options.context = 16;
  const auto refused = PackOnnx(options);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, testing::HasSubstr("outside of the model's folder"));
  // Data that ends too early.
  std::ofstream(scratch.path() / "model.onnx", std::ios::binary) << *text;
  std::ofstream(scratch.path() / "model.onnx.data", std::ios::binary) << "short";
  const auto damaged = PackOnnx(options);
  ASSERT_FALSE(damaged);
  EXPECT_THAT(damaged.error().detail, testing::HasSubstr("ends after the end of the file"));
}

TEST(OnnxFiles, NeedAContext) {
  const ScratchFolder scratch;
  fs::copy(Golden("optimum") / "model.onnx", scratch.path() / "model.onnx");
  PackOptions options;
  options.checkpoint = scratch.path() / "model.onnx";
  options.pack = scratch.path() / "pack";
  options.weights.clear();
  const auto refused = PackOnnx(options);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, testing::HasSubstr("--context"));
  options.context = 20;
  const auto outcome = PackOnnx(options);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(store::Pack::Open(options.pack)->manifest().model.positions, 20u);
}

}  // namespace
}  // namespace shoal::packer
