// What --weights names: which weights of a pack are stored in which format.
//
//   f32, f16   all matrices and tables
//   q8         all of them
//   q4         q8 for the embedding, the head, the projections to keys, values and out of the
//              attention, those of latent attention, and everything but the routed experts in
//              mixtures, which cost the most for the fewest bytes (docs/pack-format.md); the rest
//              in q4
//
// Norms' weights and biases are float32 in every recipe. Matrices whose rows are no multiple of 32
// long, routers, learned positions and latent attention's stacks are f16 in q8 and q4.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/weights.h"
#include "packer/tensor_format.h"

namespace shoal::packer {

class Recipe {
 public:
  // "f32", "f16", "q8", "q4"; kInvalidArgument for other names.
  static Result<Recipe> Named(std::string_view name);

  // Several, separated by commas, the first of which is preferred: "q4,f32". kInvalidArgument for
  // one that is named twice.
  static Result<std::vector<Recipe>> List(std::string_view names);

  // As in --weights and in the manifest.
  std::string_view name() const { return name_; }

  // How a weight of that model is stored. Owned by the recipe.
  const TensorFormat& FormatOf(const model::Architecture& arch,
                               const model::WeightSpec& spec) const;

 private:
  std::string name_;
  std::unique_ptr<TensorFormat> matrices_;
  std::unique_ptr<TensorFormat> sensitive_;
  std::unique_ptr<TensorFormat> others_;
};

}  // namespace shoal::packer
