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
  kNone,      // "default"
  kLinear,    // Positions divided by `factor` (Chen et al., 2023).
  kLlama3,    // Llama 3.1: low frequencies divided by `factor`, a ramp in the wavelength between.
  kYarn,      // Peng et al., 2023: a ramp in the dimension, and cos and sin scaled.
  kLongRope,  // Ding et al., 2024: each frequency divided by a factor of its own.
};

struct Rope {
  RopeScaling scaling = RopeScaling::kNone;
  double theta = 10000;
  uint32_t dims = 0;                 // Of a head's values, those that turn: an even number.
  double factor = 1;                 // All but kNone.
  uint32_t original_positions = 0;   // All but kNone, kLinear: the context before it was stretched.
  double low_frequency_factor = 1;   // kLlama3
  double high_frequency_factor = 4;  // kLlama3
  double beta_fast = 32;             // kYarn: rotations over the original context, upper end.
  double beta_slow = 1;              // kYarn: lower end.
  bool truncate = true;              // kYarn: the ramp's ends are whole dimensions.
  double magnitude = 1;              // Of cos and sin; 1 unless kYarn or kLongRope.
  // kLongRope: of each pair, when the served context is at most the original one, and otherwise.
  std::vector<double> short_factors;
  std::vector<double> long_factors;
  bool operator==(const Rope&) const = default;
};

// "default", "linear", "llama3", "yarn", "longrope".
std::string_view RopeScalingName(RopeScaling scaling);
Result<RopeScaling> ParseRopeScaling(std::string_view name);

// Reads the rotary parameters of a config.json in either spelling: `rope_theta` with
// `rope_scaling` (whose kind may be called `type`), or the `rope_parameters` of transformers 5.
// `positions` is max_position_embeddings. Gives one table, or two: for layers that attend to
// everything, and for those that attend to a window. kUnimplemented for a kind that is not above.
Result<std::vector<Rope>> ReadRopes(const JsonObject& config, uint32_t positions,
                                    uint32_t head_size);

// What YaRN multiplies the queries and the keys of latent attention by (mscale_all_dim); 1 without.
Result<double> ReadLatentScale(const JsonObject& config);

// Radians per position of each pair of values: rope.dims / 2 of them, scaled for a context of
// `positions`.
std::vector<double> RopeFrequencies(const Rope& rope, uint32_t positions);

// ONNX Runtime's GroupQueryAttention turns a multiple of so many values of a head.
inline constexpr uint32_t kTurningMultiple = 16;

// The values of a head that a kernel turns: rope.dims, rounded up. The ones beyond, zeros, turn by
// nothing.
uint32_t TurningRoom(const Rope& rope);

// Row-major [positions, TurningRoom(rope) / 2], computed in double and rounded once.
struct RopeTables {
  std::vector<float> cos;
  std::vector<float> sin;
};
RopeTables MakeRopeTables(const Rope& rope, uint32_t positions);

}  // namespace shoal::model
