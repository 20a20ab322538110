#include <boost/json/serialize.hpp>
#include <cmath>

#include "base/check.h"
#include "base/str_cat.h"
#include "store/manifest.h"
#include "store/manifest_names.h"

namespace shoal::store {

namespace {

namespace json = boost::json;

// Lists and objects that are nested deeper, or fit a line, are written on one line.
constexpr int kBrokenDepth = 3;
constexpr size_t kLineBytes = 100;

void Print(const json::value& value, int depth, std::string& out) {
  const std::string line = depth > 0 ? json::serialize(value) : std::string();
  const bool is_list = value.is_array();
  if (depth > 0 &&
      (depth > kBrokenDepth || line.size() <= kLineBytes || (!is_list && !value.is_object()))) {
    out += line;
    return;
  }
  const std::string start = "\n" + std::string(static_cast<size_t>(depth), ' ');
  const char* separator = "";
  out += is_list ? '[' : '{';
  if (is_list) {
    for (const json::value& element : value.get_array()) {
      out += StrCat(separator, start);
      Print(element, depth + 1, out);
      separator = ",";
    }
  } else {
    for (const auto& [key, element] : value.get_object()) {
      out += StrCat(separator, start, json::serialize(json::string(key)), ": ");
      Print(element, depth + 1, out);
      separator = ",";
    }
  }
  out += is_list ? ']' : '}';
}

json::array HexList(const std::vector<Sha256>& hashes) {
  json::array list;
  for (const Sha256& sha : hashes) list.emplace_back(Hex(sha));
  return list;
}

// Whole numbers without an exponent.
json::value NumberJson(double number) {
  if (std::floor(number) == number && std::abs(number) < 0x1p53) {
    return static_cast<int64_t>(number);
  }
  return number;
}

json::object ModelJson(const Manifest& manifest) {
  const ModelFacts& facts = manifest.model;
  return {
      {"family", facts.family},       {"hidden", facts.hidden},       {"layers", facts.layers},
      {"vocab", facts.vocab},         {"heads", facts.heads},         {"kv_heads", facts.kv_heads},
      {"head_size", facts.head_size}, {"positions", facts.positions}, {"params", facts.params}};
}

json::object RopeJson(const model::Rope& rope) {
  json::object object{{"scaling", std::string(model::RopeScalingName(rope.scaling))},
                      {"theta", NumberJson(rope.theta)},
                      {"dims", rope.dims},
                      {"factor", NumberJson(rope.factor)},
                      {"original_positions", rope.original_positions},
                      {"low_frequency_factor", NumberJson(rope.low_frequency_factor)},
                      {"high_frequency_factor", NumberJson(rope.high_frequency_factor)},
                      {"beta_fast", NumberJson(rope.beta_fast)},
                      {"beta_slow", NumberJson(rope.beta_slow)},
                      {"truncate", rope.truncate},
                      {"magnitude", NumberJson(rope.magnitude)}};
  if (rope.scaling == model::RopeScaling::kLongRope) {
    object["short_factors"] = json::array(rope.short_factors.begin(), rope.short_factors.end());
    object["long_factors"] = json::array(rope.long_factors.begin(), rope.long_factors.end());
  }
  return object;
}

json::object GenerationJson(const model::GenerationDefaults& generation) {
  json::object object;
  if (generation.bos_id) object["bos_id"] = *generation.bos_id;
  object["eos_ids"] = json::array(generation.eos_ids.begin(), generation.eos_ids.end());
  object["sample"] = generation.sample;
  object["temperature"] = NumberJson(generation.temperature);
  object["top_p"] = NumberJson(generation.top_p);
  object["top_k"] = generation.top_k;
  object["repetition_penalty"] = NumberJson(generation.repetition_penalty);
  return object;
}

json::object MixtureJson(const MixtureParts& mixture) {
  json::array groups;
  for (const ExpertGroup& group : mixture.groups) {
    groups.push_back(json::object{{"graph", Hex(group.graph)},
                                  {"weights", Hex(group.weights)},
                                  {"first", group.first},
                                  {"count", group.count}});
  }
  return {{"before", Hex(mixture.before)},
          {"after", Hex(mixture.after)},
          {"groups", std::move(groups)}};
}

json::object BlockJson(const Block& block) {
  json::object object{{"index", block.index},
                      {"kind", std::string(BlockKindName(block.kind))},
                      {"graph", Hex(block.graph)},
                      {"weights", HexList(block.weights)}};
  if (block.kv) {
    object["kv"] = json::object{{"heads", block.kv->heads}, {"head_size", block.kv->head_size}};
  }
  if (block.mixture) object["mixture"] = MixtureJson(*block.mixture);
  object["ops"] = json::array(block.ops.begin(), block.ops.end());
  object["params"] = block.params;
  object["flops_per_token"] = block.flops_per_token;
  object["attention_flops_per_position"] = block.attention_flops_per_position;
  object["weight_bytes"] = block.weight_bytes;
  return object;
}

}  // namespace

std::string SerializeManifest(const Manifest& manifest) {
  json::array variants;
  for (const Variant& variant : manifest.variants) {
    json::array blocks;
    for (const Block& block : variant.blocks) blocks.push_back(BlockJson(block));
    variants.push_back(json::object{{"weights", variant.weights},
                                    {"activations", variant.activations},
                                    {"blocks", std::move(blocks)}});
  }
  json::object files;
  for (const auto& [name, sha] : manifest.files) files[name] = Hex(sha);
  json::object blobs;
  for (const auto& [sha, blob] : manifest.blobs) {
    blobs[Hex(sha)] = json::object{{"bytes", blob.bytes}, {"chunks", HexList(blob.chunks)}};
  }
  json::array ropes;
  for (const model::Rope& rope : manifest.ropes) ropes.push_back(RopeJson(rope));
  const json::object root{{"format", kManifestFormat},
                          {"version", kManifestVersion},
                          {"name", manifest.name},
                          {"origin", json::object{{"packer", manifest.origin.packer},
                                                  {"checkpoint", Hex(manifest.origin.checkpoint)}}},
                          {"model", ModelJson(manifest)},
                          {"rope", std::move(ropes)},
                          {"generation", GenerationJson(manifest.generation)},
                          {"variants", std::move(variants)},
                          {"files", std::move(files)},
                          {"blobs", std::move(blobs)}};
  std::string body;
  Print(root, 0, body);
  CHECK(body.starts_with("{\n"));
  body = body.substr(2) + "\n";
  return StrCat(kManifestIdPrefix, Hex(HashBytes(AsBytes(body))), kManifestIdSuffix, body);
}

}  // namespace shoal::store
