#include "model/gguf_model.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <span>

#include "base/str_cat.h"
#include "model/architecture.h"
#include "model/families.h"
#include "model/gguf_blocks.h"
#include "model/gguf_config.h"

namespace shoal::model {

namespace {

// What a tensor is called in GGUF, and its role (weights.h).
struct Name {
  std::string_view gguf;
  std::string_view role;
};
constexpr Name kModelNames[] = {
    {"token_embd", "table"}, {"output_norm", "norm"}, {"output", "head"}};
constexpr Name kLayerNames[] = {
    {"attn_norm", "attention_norm"},
    {"attn_q", "q"},
    {"attn_k", "k"},
    {"attn_v", "v"},
    {"attn_qkv", "q"},
    {"attn_output", "o"},
    {"attn_q_norm", "q_norm"},
    {"attn_k_norm", "k_norm"},
    {"post_attention_norm", "attention_post_norm"},
    {"ffn_norm", "mlp_norm"},
    {"post_ffw_norm", "mlp_post_norm"},
    {"ffn_gate", "gate"},
    {"ffn_up", "up"},
    {"ffn_down", "down"},
    {"ffn_gate_inp", "router"},
    {"ffn_gate_exps", "expert_gate"},
    {"ffn_up_exps", "expert_up"},
    {"ffn_down_exps", "expert_down"},
};
// These say something about the configuration.
constexpr std::string_view kRopeNames[] = {"rope_freqs.weight", "rope_factors_short.weight",
                                           "rope_factors_long.weight"};

std::string_view RoleOf(std::span<const Name> names, std::string_view name) {
  for (const Name& entry : names) {
    if (entry.gguf == name) return entry.role;
  }
  return {};
}

const GgufTensor* Find(const std::vector<Gguf>& files, std::string_view name) {
  for (const Gguf& file : files) {
    for (const GgufTensor& tensor : file.tensors()) {
      if (tensor.name == name) return &tensor;
    }
  }
  return nullptr;
}

// Adds tensors under the names of a family.
class Renamer {
 public:
  Renamer(const Family& family, bool turned, uint64_t head_size, TensorMap& tensors)
      : family_(family), turned_(turned), head_size_(head_size), tensors_(tensors) {}

  Status Add(const GgufTensor& tensor, const Gguf& file) {
    std::string_view name = tensor.name;
    const size_t dot = name.rfind('.');
    const std::string_view ending = dot == name.npos ? "" : name.substr(dot);
    if (ending != ".weight" && ending != ".bias") return Unknown(tensor, file);
    name = name.substr(0, dot);
    std::string prefix;
    std::string_view role;
    if (name.starts_with("blk.")) {
      const size_t end = name.find('.', 4);
      if (end == name.npos) return Unknown(tensor, file);
      prefix = StrCat(family_.layer_prefix, name.substr(4, end - 4), ".");
      role = RoleOf(kLayerNames, name.substr(end + 1));
    } else {
      role = RoleOf(kModelNames, name);
    }
    if (role.empty()) return Unknown(tensor, file);
    std::string target = prefix + std::string(TensorNameOf(family_, role).tensor);
    if (ending == ".bias") {
      if (!target.ends_with(".weight")) return Unknown(tensor, file);
      target = target.substr(0, target.size() - 7) + ".bias";
    }
    if (target.contains('*')) return AddStack(tensor, target, file);
    ASSIGN_OR_RETURN(TensorView view, ReadGgufTensor(tensor, file.where()));
    if (turned_ && (role == "q" || role == "k")) {
      if (head_size_ % 2 != 0 || view.shape[0] % head_size_ != 0) {
        return Fail(Code::kInvalidArgument,
                    StrCat(file.where(), ": tensor \"", tensor.name, "\" of shape ",
                           ShowShape(tensor.shape), " has no whole heads of ", head_size_));
      }
      view = UnturnHeads(std::move(view), head_size_);
    }
    return Insert(target, std::move(view), file);
  }

 private:
  Status AddStack(const GgufTensor& stack, const std::string& target, const Gguf& file) {
    if (stack.shape.size() != 3 || stack.shape[0] > kMaxExperts) return Unknown(stack, file);
    const size_t star = target.find('*');
    for (uint64_t expert = 0; expert < stack.shape[0]; ++expert) {
      const std::string name =
          StrCat(target.substr(0, star), expert, std::string_view(target).substr(star + 1));
      ASSIGN_OR_RETURN(TensorView view, ReadMatrixOfStack(stack, expert, stack.name, file.where()));
      RETURN_IF_ERROR(Insert(name, std::move(view), file));
    }
    return {};
  }

  Status Insert(const std::string& name, TensorView view, const Gguf& file) {
    if (tensors_.contains(name)) {
      return Fail(Code::kInvalidArgument,
                  StrCat(file.where(), ": tensor \"", view.name, "\" is there twice"));
    }
    tensors_.emplace(name, std::move(view));
    return {};
  }

  std::unexpected<Error> Unknown(const GgufTensor& tensor, const Gguf& file) const {
    return Fail(Code::kUnimplemented,
                StrCat(file.where(), ": tensor \"", tensor.name, "\" is not one that a ",
                       family_.model_type, " model has"));
  }

  const Family& family_;
  const bool turned_;
  const uint64_t head_size_;
  TensorMap& tensors_;
};

}  // namespace

Result<GgufModel> ReadGgufModel(const std::vector<Gguf>& files) {
  const Gguf& first = files.front();
  ASSIGN_OR_RETURN(const GgufFamily gguf_family, FindGgufFamily(first));
  GgufConfigTensors parts{.embedding = Find(files, "token_embd.weight"),
                          .head = Find(files, "output.weight"),
                          .query_bias = Find(files, "blk.0.attn_q.bias"),
                          .mlp_bias = Find(files, "blk.0.ffn_up.bias"),
                          .rope_freqs = Find(files, kRopeNames[0]),
                          .short_factors = Find(files, kRopeNames[1]),
                          .long_factors = Find(files, kRopeNames[2])};
  if (parts.embedding == nullptr || parts.embedding->shape.size() != 2) {
    return Fail(Code::kInvalidArgument,
                StrCat(first.where(), ": tensor \"token_embd.weight\" is missing, or no matrix"));
  }
  ASSIGN_OR_RETURN(const boost::json::object config, ConfigOfGguf(first, gguf_family, parts));
  ASSIGN_OR_RETURN(const boost::json::object generation, GenerationOfGguf(first));
  GgufModel model{.config_json = boost::json::serialize(config),
                  .generation_json = boost::json::serialize(generation),
                  .tensors = {}};
  const Family* const family = FindFamily(gguf_family.model_type);
  if (family == nullptr) {
    return Fail(Code::kUnimplemented, StrCat(first.where(), ": models of ", gguf_family.model_type,
                                             " are not supported"));
  }
  Renamer renamer(*family, gguf_family.turned, config.at("head_dim").to_number<uint64_t>(),
                  model.tensors);
  for (const Gguf& file : files) {
    for (const GgufTensor& tensor : file.tensors()) {
      if (std::ranges::find(kRopeNames, tensor.name) != std::end(kRopeNames)) continue;
      RETURN_IF_ERROR(renamer.Add(tensor, file));
    }
  }
  return model;
}

}  // namespace shoal::model
