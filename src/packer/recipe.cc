#include "packer/recipe.h"

#include <algorithm>
#include <span>

#include "base/str_cat.h"
#include "packer/float_format.h"
#include "packer/quant_format.h"

namespace shoal::packer {

namespace {

// Roles that q4 stores in q8: with latent attention queries come from q_a and q_b, keys and values
// from kv_a; shared experts see every token.
constexpr std::string_view kSensitive[] = {"table",       "head",      "k",          "v",
                                           "o",           "kv_a",      "q_a",        "q_b",
                                           "shared_gate", "shared_up", "shared_down"};
// The same in a mixture: queries, and the layers that have no experts. They are few beside the
// experts, and what they get wrong decides which of those are chosen behind them.
constexpr std::string_view kSensitiveInMixtures[] = {"q", "gate", "up", "down"};

bool IsMatrixOfBlocks(const model::WeightSpec& spec) {
  if (spec.kind == model::WeightKind::kExperts) {
    // One operator multiplies by "in" [experts, 2 * inner, hidden] and "out" [experts, hidden,
    // inner]: both or neither.
    const uint64_t inner = spec.role.ends_with("out") ? spec.shape[2] : spec.shape[1] / 2;
    const uint64_t hidden = spec.role.ends_with("out") ? spec.shape[1] : spec.shape[2];
    return inner % kBlockValues == 0 && hidden % kBlockValues == 0;
  }
  const bool matrix =
      spec.kind == model::WeightKind::kMatrix || spec.kind == model::WeightKind::kEmbedding;
  return matrix && spec.role != "positions" && spec.role != "router" &&
         spec.shape[1] % kBlockValues == 0;
}

std::unique_ptr<TensorFormat> Float(DType type) { return std::make_unique<FloatFormat>(type); }
std::unique_ptr<TensorFormat> Quant(BlockFormat format) {
  return std::make_unique<QuantFormat>(format);
}

}  // namespace

Result<Recipe> Recipe::Named(std::string_view name) {
  Recipe recipe;
  recipe.name_ = name;
  if (name == "f32") {
    recipe.matrices_ = Float(DType::kF32);
    recipe.others_ = Float(DType::kF32);
  } else if (name == "f16") {
    recipe.matrices_ = Float(DType::kF16);
    recipe.others_ = Float(DType::kF16);
  } else if (name == "q8") {
    recipe.matrices_ = Quant(BlockFormat::kQ8);
    recipe.others_ = Float(DType::kF16);
  } else if (name == "q4") {
    recipe.matrices_ = Quant(BlockFormat::kQ4);
    recipe.sensitive_ = Quant(BlockFormat::kQ8);
    recipe.others_ = Float(DType::kF16);
  } else {
    return Fail(Code::kInvalidArgument,
                StrCat("\"", name, "\" is not a weight format; formats: f32, f16, q8, q4"));
  }
  return recipe;
}

Result<std::vector<Recipe>> Recipe::List(std::string_view names) {
  std::vector<Recipe> recipes;
  while (true) {
    const size_t comma = names.find(',');
    ASSIGN_OR_RETURN(Recipe recipe, Named(names.substr(0, comma)));
    if (std::ranges::find(recipes, recipe.name(), &Recipe::name) != recipes.end()) {
      return Fail(Code::kInvalidArgument, StrCat("\"", recipe.name(), "\" is named twice"));
    }
    recipes.push_back(std::move(recipe));
    if (comma == std::string_view::npos) return recipes;
    names.remove_prefix(comma + 1);
  }
}

const TensorFormat& Recipe::FormatOf(const model::Architecture& arch,
                                     const model::WeightSpec& spec) const {
  if (!IsMatrixOfBlocks(spec)) return *others_;
  const auto has_role = [&](std::span<const std::string_view> roles) {
    return std::ranges::find(roles, spec.role) != roles.end();
  };
  const bool sensitive = has_role(kSensitive) || (arch.mixture && has_role(kSensitiveInMixtures));
  return sensitive && sensitive_ ? *sensitive_ : *matrices_;
}

}  // namespace shoal::packer
