#include "model/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "base/str_cat.h"
#include "model/architecture.h"
#include "model/gguf_blocks.h"
#include "tensor/convert.h"

namespace shoal::model {

namespace {

constexpr GgufFamily kGgufFamilies[] = {
    {"llama", "llama", true},     {"llama", "mixtral", true}, {"qwen2", "qwen2"},
    {"qwen3", "qwen3"},           {"qwen3moe", "qwen3_moe"},  {"gemma2", "gemma2"},
    {"gemma3", "gemma3_text"},    {"phi3", "phi3"},           {"olmo2", "olmo2"},
    {"smollm3", "smollm3", true},
};

// Reads keys that begin with the architecture's name, and writes fields of config.json.
class ConfigWriter {
 public:
  ConfigWriter(const Gguf& gguf, const GgufFamily& family) : gguf_(gguf), family_(family) {
    config_["model_type"] = family.model_type;
  }

  boost::json::object& config() { return config_; }
  std::string Key(std::string_view name) const { return StrCat(family_.architecture, ".", name); }
  bool Has(std::string_view name) const { return gguf_.Has(Key(name)); }

  Status Uint(std::string_view field, std::string_view name, uint64_t max) {
    ASSIGN_OR_RETURN(config_[field], UintOf(name, max));
    return {};
  }
  Status Number(std::string_view field, std::string_view name) {
    ASSIGN_OR_RETURN(config_[field], gguf_.Number(Key(name)));
    return {};
  }
  // A whole number, or a list of equal ones: one for each layer.
  Result<uint64_t> UintOf(std::string_view name, uint64_t max) const {
    ASSIGN_OR_RETURN(const std::vector<double> numbers, gguf_.Numbers(Key(name)));
    const bool equal = !numbers.empty() && std::ranges::all_of(numbers, [&](double number) {
      return number == numbers[0];
    });
    if (!equal) {
      return Fail(Code::kUnimplemented,
                  StrCat(gguf_.where(), ": ", Key(name), ": layers that differ are not supported"));
    }
    if (numbers[0] < 1 || numbers[0] > static_cast<double>(max) ||
        numbers[0] != std::floor(numbers[0])) {
      return Fail(Code::kInvalidArgument,
                  StrCat(gguf_.where(), ": ", Key(name), ": expected a whole number from 1 to ",
                         max, ", found ", numbers[0]));
    }
    return static_cast<uint64_t>(numbers[0]);
  }

 private:
  const Gguf& gguf_;
  const GgufFamily& family_;
  boost::json::object config_;
};

Status WriteSizes(const GgufConfigTensors& tensors, ConfigWriter& writer) {
  boost::json::object& config = writer.config();
  RETURN_IF_ERROR(writer.Uint("hidden_size", "embedding_length", kMaxWidth));
  RETURN_IF_ERROR(writer.Uint("num_hidden_layers", "block_count", kMaxLayers));
  RETURN_IF_ERROR(writer.Uint("max_position_embeddings", "context_length", kMaxPositions));
  RETURN_IF_ERROR(writer.Uint("intermediate_size", "feed_forward_length", kMaxWidth));
  RETURN_IF_ERROR(writer.Uint("num_attention_heads", "attention.head_count", kMaxWidth));
  if (writer.Has("attention.head_count_kv")) {
    RETURN_IF_ERROR(writer.Uint("num_key_value_heads", "attention.head_count_kv", kMaxWidth));
  }
  RETURN_IF_ERROR(writer.Number("rms_norm_eps", "attention.layer_norm_rms_epsilon"));
  const uint64_t heads = config["num_attention_heads"].as_uint64();
  const uint64_t hidden = config["hidden_size"].as_uint64();
  config["head_dim"] = std::max<uint64_t>(1, hidden / heads);
  if (writer.Has("attention.key_length")) {
    RETURN_IF_ERROR(writer.Uint("head_dim", "attention.key_length", kMaxWidth));
  }
  config["vocab_size"] = tensors.embedding->shape[0];
  config["tie_word_embeddings"] = tensors.head == nullptr;
  config["attention_bias"] = tensors.query_bias != nullptr;
  config["mlp_bias"] = tensors.mlp_bias != nullptr;
  return {};
}

// At most this many of any list of frequencies.
constexpr uint64_t kMaxFrequencies = 4096;

Result<boost::json::array> FloatsOf(const GgufTensor& tensor, std::string_view where) {
  ASSIGN_OR_RETURN(const TensorView view, ReadGgufTensor(tensor, where));
  if (view.shape.size() != 1 || view.encoding != nullptr || view.shape[0] > kMaxFrequencies) {
    return Fail(Code::kInvalidArgument,
                StrCat(where, ": tensor \"", tensor.name, "\" should be a short list of floats"));
  }
  std::vector<float> values(view.shape[0]);
  ToF32(view.type, view.data, values);
  return boost::json::array(values.begin(), values.end());
}

// Whether Llama 3.1's scaling of this rotation divides its frequencies by these.
bool DividesBy(const Rope& scaled, const boost::json::array& divisors) {
  Rope plain = scaled;
  plain.scaling = RopeScaling::kNone;
  const std::vector<double> before = RopeFrequencies(plain, scaled.original_positions);
  const std::vector<double> after = RopeFrequencies(scaled, scaled.original_positions);
  for (size_t i = 0; i < divisors.size(); ++i) {
    if (std::abs(before[i] / after[i] / divisors[i].as_double() - 1) > 1e-3) return false;
  }
  return true;
}

// Llama 3.1's scaling: the file has only what it divides each frequency by. The context that the
// model was stretched from, a power of two, is the one that gives these.
Status WriteLlama3Rope(const Gguf& gguf, const GgufTensor& tensor, ConfigWriter& writer) {
  ASSIGN_OR_RETURN(const boost::json::array divisors, FloatsOf(tensor, gguf.where()));
  Rope rope{.scaling = RopeScaling::kLlama3,
            .theta = writer.config()["rope_theta"].as_double(),
            .dims = static_cast<uint32_t>(2 * divisors.size())};
  for (const auto& divisor : divisors) rope.factor = std::max(rope.factor, divisor.as_double());
  // The first that is tried is that of all published models.
  rope.original_positions = 8192;
  for (uint32_t positions = 16; !DividesBy(rope, divisors); positions *= 2) {
    if (positions > kMaxPositions / 2) {
      return Fail(Code::kUnimplemented, StrCat(gguf.where(), ": tensor \"", tensor.name,
                                               "\" does not scale the rotation as Llama 3.1 does"));
    }
    rope.original_positions = positions;
  }
  writer.config()["rope_scaling"] = {{"rope_type", "llama3"},
                                     {"factor", rope.factor},
                                     {"low_freq_factor", rope.low_frequency_factor},
                                     {"high_freq_factor", rope.high_frequency_factor},
                                     {"original_max_position_embeddings", rope.original_positions}};
  return {};
}

Status WriteRope(const Gguf& gguf, const GgufConfigTensors& tensors, ConfigWriter& writer) {
  boost::json::object& config = writer.config();
  config["rope_theta"] = 10000.0;
  if (writer.Has("rope.freq_base")) RETURN_IF_ERROR(writer.Number("rope_theta", "rope.freq_base"));
  if (writer.Has("rope.dimension_count")) {
    ASSIGN_OR_RETURN(const uint64_t turning, writer.UintOf("rope.dimension_count", kMaxWidth));
    config["partial_rotary_factor"] =
        static_cast<double>(turning) / static_cast<double>(config["head_dim"].as_uint64());
  }
  if (tensors.rope_freqs != nullptr) return WriteLlama3Rope(gguf, *tensors.rope_freqs, writer);
  boost::json::object scaling;
  if (tensors.short_factors != nullptr && tensors.long_factors != nullptr) {
    ASSIGN_OR_RETURN(scaling["short_factor"], FloatsOf(*tensors.short_factors, gguf.where()));
    ASSIGN_OR_RETURN(scaling["long_factor"], FloatsOf(*tensors.long_factors, gguf.where()));
    scaling["rope_type"] = "longrope";
    RETURN_IF_ERROR(writer.Uint("original_max_position_embeddings",
                                "rope.scaling.original_context_length", kMaxPositions));
  } else if (writer.Has("rope.scaling.type")) {
    ASSIGN_OR_RETURN(const std::string_view type, gguf.Text(writer.Key("rope.scaling.type")));
    if (type == "none") return {};
    scaling["rope_type"] = type;
    ASSIGN_OR_RETURN(scaling["factor"], gguf.Number(writer.Key("rope.scaling.factor")));
    if (type == "yarn") {
      ASSIGN_OR_RETURN(scaling["original_max_position_embeddings"],
                       writer.UintOf("rope.scaling.original_context_length", kMaxPositions));
    }
  }
  if (!scaling.empty()) config["rope_scaling"] = std::move(scaling);
  return {};
}

Status WriteExperts(ConfigWriter& writer) {
  RETURN_IF_ERROR(writer.Uint("num_local_experts", "expert_count", kMaxExperts));
  RETURN_IF_ERROR(writer.Uint("num_experts_per_tok", "expert_used_count", kMaxExperts));
  writer.config()["norm_topk_prob"] = true;
  if (!writer.Has("expert_feed_forward_length")) return {};
  return writer.Uint("moe_intermediate_size", "expert_feed_forward_length", kMaxWidth);
}

Status WriteGemma(const GgufFamily& family, ConfigWriter& writer) {
  boost::json::object& config = writer.config();
  if (writer.Has("attn_logit_softcapping")) {
    RETURN_IF_ERROR(writer.Number("attn_logit_softcapping", "attn_logit_softcapping"));
  }
  if (writer.Has("final_logit_softcapping")) {
    RETURN_IF_ERROR(writer.Number("final_logit_softcapping", "final_logit_softcapping"));
  }
  // The largest of both families scale by hidden / heads; the file does not say so.
  const bool gemma3 = family.architecture == "gemma3";
  const uint64_t layers = config["num_hidden_layers"].as_uint64();
  const bool largest = layers == (gemma3 ? 62u : 46u);
  const uint64_t per_head =
      config["hidden_size"].as_uint64() / config["num_attention_heads"].as_uint64();
  config["query_pre_attn_scalar"] = largest ? boost::json::value(per_head) : config["head_dim"];
  if (gemma3) config["rope_local_base_freq"] = 10000.0;
  return {};
}

}  // namespace

Result<GgufFamily> FindGgufFamily(const Gguf& gguf) {
  ASSIGN_OR_RETURN(const std::string_view architecture, gguf.Text("general.architecture"));
  const bool experts = gguf.Has(StrCat(architecture, ".expert_count")) && architecture == "llama";
  std::string known;
  for (const GgufFamily& family : kGgufFamilies) {
    if (family.architecture == architecture && (family.model_type == "mixtral") == experts) {
      return family;
    }
    known += StrCat(known.empty() ? "" : ", ", family.model_type);
  }
  return Fail(Code::kUnimplemented,
              StrCat(gguf.where(), ": general.architecture: \"", architecture.substr(0, 80),
                     "\" is not supported; models of these are: ", known));
}

Result<boost::json::object> ConfigOfGguf(const Gguf& gguf, const GgufFamily& family,
                                         const GgufConfigTensors& tensors) {
  ConfigWriter writer(gguf, family);
  RETURN_IF_ERROR(WriteSizes(tensors, writer));
  RETURN_IF_ERROR(WriteRope(gguf, tensors, writer));
  if (writer.Has("attention.sliding_window")) {
    ASSIGN_OR_RETURN(const uint64_t window,
                     gguf.Uint(writer.Key("attention.sliding_window"), 0, kMaxPositions));
    if (window > 0) writer.config()["sliding_window"] = window;
  }
  if (writer.Has("expert_count")) RETURN_IF_ERROR(WriteExperts(writer));
  if (family.architecture.starts_with("gemma")) RETURN_IF_ERROR(WriteGemma(family, writer));
  return std::move(writer.config());
}

Result<boost::json::object> GenerationOfGguf(const Gguf& gguf) {
  boost::json::object generation;
  if (gguf.Has("tokenizer.ggml.bos_token_id")) {
    ASSIGN_OR_RETURN(generation["bos_token_id"],
                     gguf.Uint("tokenizer.ggml.bos_token_id", 0, kMaxVocab - 1));
  }
  std::set<uint64_t> ends;
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    if (!gguf.Has(key)) continue;
    ASSIGN_OR_RETURN(const uint64_t id, gguf.Uint(key, 0, kMaxVocab - 1));
    ends.insert(id);
  }
  if (!ends.empty()) generation["eos_token_id"] = boost::json::array(ends.begin(), ends.end());
  return generation;
}

}  // namespace shoal::model
