#include "store/manifest.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "model/json.h"
#include "store/manifest_names.h"

namespace shoal::store {
namespace {

Manifest Small() {
  Manifest manifest;
  manifest.name = "small \"quoted\"";
  const Blob graph = HashBlob(AsBytes("graph"));
  const Blob weights = HashBlob(AsBytes("weights"));
  const Blob tokenizer = HashBlob(AsBytes("{}"));
  for (const Blob& blob : {graph, weights, tokenizer}) manifest.blobs[blob.sha] = blob;
  manifest.origin = {"shoal test", HashBytes({})};
  manifest.model = {"llama", 64, 1, 100, 4, 2, 16, 512, 12345};
  manifest.ropes = {{.scaling = model::RopeScaling::kLlama3,
                     .theta = 500000.1,
                     .dims = 16,
                     .factor = 8,
                     .original_positions = 64,
                     .magnitude = 1.0000001192092896},
                    {.scaling = model::RopeScaling::kLongRope,
                     .dims = 4,
                     .original_positions = 64,
                     .magnitude = 1.1902380714238083,
                     .short_factors = {1.1, 1.7},
                     .long_factors = {2.25, 7}}};
  manifest.generation = {.bos_id = 1,
                         .eos_ids = {2, 3},
                         .sample = true,
                         .temperature = 0.7,
                         .top_p = 0.9,
                         .top_k = 40,
                         .repetition_penalty = 1.05};
  manifest.files["tokenizer.json"] = tokenizer.sha;
  Variant variant{"f32", "f32", {}};
  for (uint32_t index = 0; index < 3; ++index) {
    Block block;
    block.index = index;
    block.kind = index == 0   ? BlockKind::kEmbedding
                 : index == 1 ? BlockKind::kLayer
                              : BlockKind::kHead;
    block.graph = graph.sha;
    block.weights = {weights.sha};
    if (index == 1) {
      block.kv = {2, 16};
      block.mixture = {graph.sha, graph.sha, {{graph.sha, weights.sha, 0, 3}}};
    }
    block.ops = {"MatMul", "com.microsoft:GroupQueryAttention"};
    block.params = 10;
    block.flops_per_token = 20;
    block.weight_bytes = weights.bytes;
    variant.blocks.push_back(block);
  }
  manifest.variants.push_back(variant);
  return manifest;
}

// Replaces `from` in the fields, written without spaces, and gives the result its right id again.
std::string Edited(const std::string& from, const std::string& to) {
  auto fields = model::ParseJson(SerializeManifest(Small()), "manifest");
  fields->get_object().erase("id");
  std::string body = boost::json::serialize(*fields).substr(1);
  const size_t at = body.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  body.replace(at, from.size(), to);
  return std::string(kManifestIdPrefix) + Hex(HashBytes(AsBytes(body))) +
         std::string(kManifestIdSuffix) + body;
}

TEST(Manifest, ReadsWhatItWrote) {
  const std::string text = SerializeManifest(Small());
  const auto read = ParseManifest(text);
  ASSERT_TRUE(read) << read.error().ToString() << text;
  EXPECT_EQ(read->manifest, Small()) << text;
  EXPECT_EQ(SerializeManifest(read->manifest), text);
  EXPECT_NE(text.find(Hex(read->id)), std::string::npos);
}

TEST(Manifest, NoticesThatItWasTouched) {
  const std::string text = SerializeManifest(Small());
  for (size_t at = 0; at < text.size(); at += 7) {
    std::string touched = text;
    touched[at] ^= 1;
    EXPECT_FALSE(ParseManifest(touched)) << at;
    EXPECT_FALSE(ParseManifest(text.substr(0, at))) << at;
  }
}

TEST(Manifest, ChecksEveryField) {
  const std::string graph = Hex(HashBytes(AsBytes("graph")));
  const std::string weights = Hex(HashBytes(AsBytes("weights")));
  const struct {
    std::string from, to;
    const char* detail;
  } cases[] = {
      {"\"shoal-pack\"", "\"zip\"", "expected \"shoal-pack\""},
      {"\"version\":1", "\"version\":2", "format version 2"},
      {"\"layers\":1", "\"layers\":1000000000", "layers"},
      {"\"layers\":1", "\"layers\":2", "expected 4 blocks, found 3"},
      {"\"vocab\":100", "\"vocab\":0", "vocab"},
      {"\"eos_ids\":[2,3]", "\"eos_ids\":[2,100]", "eos_ids"},
      {"\"scaling\":\"llama3\"", "\"scaling\":\"dynamic\"", "dynamic"},
      {"\"scaling\":\"llama3\"", "\"scaling\":\"longrope\"", "short_factors: is missing"},
      {"\"dims\":16", "\"dims\":17", "even"},
      {"\"original_positions\":64", "\"original_positions\":0", "original_positions"},
      {"\"index\":1", "\"index\":2", "from 1 to 1"},
      {"\"kind\":\"layer\"", "\"kind\":\"head\"", "expected \"layer\" for block 1"},
      {"\"kv\":{\"heads\":2,\"head_size\":16}", "\"kv\":null", "expected in layers"},
      {"\"graph\":\"" + graph, "\"graph\":\"" + graph.substr(1), "64 lower-case"},
      {"\"graph\":\"" + graph, "\"graph\":\"" + std::string(64, '0'), "not in the list of blobs"},
      {"\"first\":0", "\"first\":1", "first"},
      {"\"count\":3", "\"count\":0", "count"},
      {"\"groups\":[{", "\"groups\":[],\"others\":[{", "groups: expected at least one"},
      {"\"before\":\"" + graph, "\"before\":\"" + std::string(64, '0'), "not in the list of blobs"},
      {"\"weights\":\"" + weights, "\"weights\":\"" + graph, "not among the block's"},
      {"\"weight_bytes\":7", "\"weight_bytes\":8", "its blobs have 7"},
      {"\"bytes\":7", "\"bytes\":16777217", "expected 2 for 16777217"},
      {"\"tokenizer.json\"", "\"../escape\"", "not a plain file name"},
      {"\"name\":", "\"name\":[", "not valid JSON"},
  };
  for (const auto& [from, to, detail] : cases) {
    const auto read = ParseManifest(Edited(from, to));
    ASSERT_FALSE(read) << to;
    EXPECT_NE(read.error().detail.find(detail), std::string::npos) << read.error().detail;
  }
  EXPECT_FALSE(ParseManifest(""));
  EXPECT_FALSE(ParseManifest("{}"));
}

}  // namespace
}  // namespace shoal::store
