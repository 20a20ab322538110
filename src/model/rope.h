// Rotary position embedding: the angles of RoFormer (Su et al., 2021) and the scalings that stretch
// them to longer contexts, as tables of cosines and sines.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace shoal::model {

enum class RopeScaling : uint8_t {
  kNone,    // "default"
  kLinear,  // Positions divided by `factor` (Chen et al., 2023).
  kLlama3,  // Llama 3.1: low frequencies divided by `factor`, a ramp in the wavelength between.
  kYarn,    // Peng et al., 2023: a ramp in the dimension, and cos and sin scaled.
};

struct Rope {
  RopeScaling scaling = RopeScaling::kNone;
  double theta = 10000;
  double factor = 1;                 // All but kNone.
  uint32_t original_positions = 0;   // kLlama3, kYarn: the context before it was stretched.
  double low_frequency_factor = 1;   // kLlama3
  double high_frequency_factor = 4;  // kLlama3
  double beta_fast = 32;             // kYarn: rotations over the original context, upper end.
  double beta_slow = 1;              // kYarn: lower end.
  bool truncate = true;              // kYarn: the ramp's ends are whole dimensions.
  double magnitude = 1;              // Of cos and sin; 1 unless kYarn.
  bool operator==(const Rope&) const = default;
};

// "default", "linear", "llama3", "yarn".
std::string_view RopeScalingName(RopeScaling scaling);
Result<RopeScaling> ParseRopeScaling(std::string_view name);

// Reads the rotary parameters of a config.json in either spelling: `rope_theta` with
// `rope_scaling` (whose kind may be called `type`), or the `rope_parameters` of transformers 5.
// kUnimplemented for a kind that is not above. `positions` is max_position_embeddings.
Result<Rope> ReadRope(const JsonObject& config, uint32_t positions);

// Radians per position of each pair of values: head_size / 2 of them, scaled.
std::vector<double> RopeFrequencies(const Rope& rope, uint32_t head_size);

// Row-major [positions, head_size / 2], computed in double and rounded once.
struct RopeTables {
  std::vector<float> cos;
  std::vector<float> sin;
};
RopeTables MakeRopeTables(const Rope& rope, uint32_t head_size, uint32_t positions);

}  // namespace shoal::model
