// Whole models against the logits and ids of Hugging Face transformers, for many ways of cutting.
#include "cli/local_route.h"

#include <gtest/gtest.h>

#include "cli/testing.h"
#include "packer/packer.h"
#include "packer/testing.h"

namespace shoal::cli {
namespace {

using packer::ScratchFolder;

store::Pack MustPack(const ScratchFolder& folder, const std::string& checkpoint,
                     const std::string& weights = "f32") {
  const auto path = folder.path() / StrCat("pack_", weights);
  const auto outcome = packer::PackCheckpoint(
      {.checkpoint = checkpoint, .pack = path, .weights = weights, .name = "model"});
  EXPECT_TRUE(outcome) << outcome.error().ToString();
  auto pack = store::Pack::Open(path);
  EXPECT_TRUE(pack) << pack.error().ToString();
  return *std::move(pack);
}

LocalRoute MustLoad(const store::Pack& pack, const std::vector<uint32_t>& cuts,
                    wire::PayloadType hop = wire::PayloadType::kF32, uint32_t positions = 64) {
  auto route = LocalRoute::Load(pack, cuts, {.hop = hop}, positions);
  EXPECT_TRUE(route) << route.error().ToString();
  return *std::move(route);
}

// Every way of cutting the blocks into one, two or three stages.
std::vector<std::vector<uint32_t>> AllCuts(uint32_t block_count) {
  std::vector<std::vector<uint32_t>> all = {{}};
  for (uint32_t a = 1; a < block_count; ++a) {
    all.push_back({a});
    for (uint32_t b = a + 1; b < block_count; ++b) all.push_back({a, b});
  }
  return all;
}

void ExpectReferenceIds(const std::vector<int32_t>& ids, const Reference& reference) {
  const size_t steps = reference.decided_steps();
  ASSERT_GE(ids.size(), steps);
  for (size_t i = 0; i < steps; ++i) ASSERT_EQ(ids[i], reference.greedy_ids[i]) << i;
}

class GoldenModel : public testing::TestWithParam<std::string> {
 protected:
  const Reference reference_ = GoldenReference(GetParam());
  const std::vector<float> logits_ = ReadNpy(GoldenFolder(GetParam()) + "/ref_logits.npy");
  const ScratchFolder folder_;
};

TEST_P(GoldenModel, AgreesForEveryCut) {
  const store::Pack pack = MustPack(folder_, GoldenFolder(GetParam()));
  const auto count = static_cast<uint32_t>(reference_.greedy_ids.size());
  for (const std::vector<uint32_t>& cuts : AllCuts(pack.manifest().block_count())) {
    SCOPED_TRACE(JoinNumbers(cuts));
    LocalRoute route = MustLoad(pack, cuts);
    const auto logits = route.Feed(reference_.prompt_ids, reference_.prompt_ids.size());
    ASSERT_TRUE(logits) << logits.error().ToString();
    EXPECT_LT(RelativeError(*logits, logits_), 1e-5);
    const auto ids = route.Greedy(reference_.prompt_ids, count);
    ASSERT_TRUE(ids) << ids.error().ToString();
    ExpectReferenceIds(*ids, reference_);
  }
}

TEST_P(GoldenModel, HopsInF16StayClose) {
  const store::Pack pack = MustPack(folder_, GoldenFolder(GetParam()));
  for (const std::vector<uint32_t>& cuts : {std::vector<uint32_t>{2}, {1, 3}}) {
    LocalRoute route = MustLoad(pack, cuts, wire::PayloadType::kF16);
    const auto logits = route.Feed(reference_.prompt_ids, reference_.prompt_ids.size());
    ASSERT_TRUE(logits) << logits.error().ToString();
    EXPECT_LT(RelativeError(*logits, logits_), 2e-3);
    EXPECT_GT(RelativeError(*logits, logits_), 1e-5);  // They did go through f16.
  }
}

TEST_P(GoldenModel, TokenByTokenIsTheSameAsAtOnce) {
  const store::Pack pack = MustPack(folder_, GoldenFolder(GetParam()));
  LocalRoute route = MustLoad(pack, {2});
  const auto at_once = route.Feed(reference_.prompt_ids, reference_.prompt_ids.size());
  ASSERT_TRUE(at_once);
  ASSERT_TRUE(route.Reset());
  std::vector<float> stepwise;
  for (const int32_t id : reference_.prompt_ids) {
    const auto logits = route.Feed(std::span(&id, 1), 1);
    ASSERT_TRUE(logits) << logits.error().ToString();
    stepwise.insert(stepwise.end(), logits->begin(), logits->end());
  }
  EXPECT_EQ(stepwise, *at_once);  // The engine is batch-invariant: the very bits.
}

// bf16 weights of ordinary size are exact in f16.
TEST_P(GoldenModel, WeightsInF16StayClose) {
  const store::Pack pack = MustPack(folder_, GoldenFolder(GetParam()), "f16");
  LocalRoute route = MustLoad(pack, {1});
  const auto logits = route.Feed(reference_.prompt_ids, reference_.prompt_ids.size());
  ASSERT_TRUE(logits) << logits.error().ToString();
  EXPECT_LT(RelativeError(*logits, logits_), 1e-4);
}

// The experts of every layer on pretend volunteers, in one stage and with a cut at every block.
class GoldenMixture : public GoldenModel {};

TEST_P(GoldenMixture, AgreesWithItsExpertsDivided) {
  const store::Pack pack = MustPack(folder_, GoldenFolder(GetParam()));
  const auto& blocks = pack.manifest().variants.front().blocks;
  const size_t mixtures = static_cast<size_t>(std::ranges::count_if(
      blocks, [](const store::Block& block) { return block.mixture.has_value(); }));
  std::vector<uint32_t> all_cuts;
  for (uint32_t block = 1; block < blocks.size(); ++block) all_cuts.push_back(block);
  for (const uint32_t holders : {1u, 2u, 3u}) {
    for (const std::vector<uint32_t>& cuts : {std::vector<uint32_t>{}, all_cuts}) {
      SCOPED_TRACE(StrCat(holders, " holders, cuts ", JoinNumbers(cuts)));
      auto route = LocalRoute::Load(pack, cuts, {.expert_holders = holders}, 64);
      ASSERT_TRUE(route) << route.error().ToString();
      const auto logits = route->Feed(reference_.prompt_ids, reference_.prompt_ids.size());
      ASSERT_TRUE(logits) << logits.error().ToString();
      EXPECT_LT(RelativeError(*logits, logits_), 1e-5);
      // Each holder was sent rows, and not every row went to every one of many.
      uint64_t sent = 0;
      for (const uint64_t rows : route->ExpertRowsSent()) {
        EXPECT_GT(rows, 0u);
        sent += rows;
      }
      const size_t most = mixtures * holders * reference_.prompt_ids.size();
      EXPECT_LE(sent, most);
      if (holders == 3) EXPECT_LT(sent, most);
      const auto ids =
          route->Greedy(reference_.prompt_ids, static_cast<uint32_t>(reference_.greedy_ids.size()));
      ASSERT_TRUE(ids) << ids.error().ToString();
      ExpectReferenceIds(*ids, reference_);
    }
  }
}

// Groups of experts in q4 and q8 compute what all of them in one graph do.
TEST_P(GoldenMixture, AgreesWithTheWholeInQ4AndQ8) {
  for (const std::string weights : {"q4", "q8"}) {
    const ScratchFolder folder;
    const store::Pack pack = MustPack(folder, GoldenFolder(GetParam()), weights);
    const size_t count = reference_.prompt_ids.size();
    auto whole = LocalRoute::Load(pack, {}, {.exact = true}, 64);
    ASSERT_TRUE(whole) << whole.error().ToString();
    const auto expected = whole->Feed(reference_.prompt_ids, count);
    ASSERT_TRUE(expected) << expected.error().ToString();
    const std::vector<uint32_t> cuts = {2};
    auto route = LocalRoute::Load(pack, cuts, {.exact = true, .expert_holders = 2}, 64);
    ASSERT_TRUE(route) << route.error().ToString();
    const auto logits = route->Feed(reference_.prompt_ids, count);
    ASSERT_TRUE(logits) << logits.error().ToString();
    EXPECT_LT(RelativeError(*logits, *expected), 1e-5) << weights;
  }
}

INSTANTIATE_TEST_SUITE_P(Mixtures, GoldenMixture,
                         testing::Values("mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3",
                                         "kimi_k2"),
                         [](const auto& parameter) { return parameter.param; });

TEST(LocalRoute, RefusesMoreHoldersThanGroups) {
  const ScratchFolder folder;
  const store::Pack dense = MustPack(folder, GoldenFolder("llama3"));
  const auto route = LocalRoute::Load(dense, {}, {.expert_holders = 2}, 64);
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().ToString(), "invalid_argument: the model has no experts");
  const ScratchFolder other;
  const store::Pack mixture = MustPack(other, GoldenFolder("mixtral"));
  EXPECT_FALSE(LocalRoute::Load(mixture, {}, {.expert_holders = 1000}, 64));
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenModel,
                         testing::Values("llama3", "llama_tied", "mistral", "qwen2", "qwen3",
                                         "smollm3", "olmo2", "phi3", "gemma2", "gemma3", "gpt2",
                                         "mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3",
                                         "kimi_k2", "granite"),
                         [](const auto& parameter) { return parameter.param; });

// Trained models: sharded, tied, older spelling of the rotary parameters.
class TrainedModel : public testing::TestWithParam<std::string> {};

TEST_P(TrainedModel, DecodesTheReferenceStories) {
  const std::string checkpoint = StrCat(SHOAL_SOURCE_DIR "/", GetParam());
  const ScratchFolder folder;
  const store::Pack pack = MustPack(folder, checkpoint);
  const auto text = model::ReadFile(checkpoint + "/reference.json", 1 << 24);
  ASSERT_TRUE(text) << text.error().ToString();
  const auto json = model::ParseJson(*text, "reference.json");
  ASSERT_TRUE(json);
  const auto& prompts = json->as_object().at("prompts").as_array();
  ASSERT_EQ(prompts.size(), 5u);
  LocalRoute route = MustLoad(pack, {4, 7}, wire::PayloadType::kF32, 512);
  for (const auto& prompt : prompts) {
    const Reference reference = ReadReference(prompt.as_object());
    const auto ids =
        route.Greedy(reference.prompt_ids, static_cast<uint32_t>(reference.greedy_ids.size()));
    ASSERT_TRUE(ids) << ids.error().ToString();
    ExpectReferenceIds(*ids, reference);
  }
}

INSTANTIATE_TEST_SUITE_P(Storyteller, TrainedModel,
                         testing::Values("models/storyteller", "tests/golden/storyteller-7m"));

TEST(LocalRoute, RefusesCutsThatAreNone) {
  EXPECT_TRUE(CheckCuts({}, 6));
  EXPECT_TRUE(CheckCuts(std::vector<uint32_t>{1, 5}, 6));
  for (const std::vector<uint32_t>& cuts :
       {std::vector<uint32_t>{0}, {6}, {2, 2}, {3, 2}, {1, 2, 9}}) {
    EXPECT_FALSE(CheckCuts(cuts, 6)) << JoinNumbers(cuts);
  }
}

}  // namespace
}  // namespace shoal::cli
