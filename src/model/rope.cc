#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::model {

namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;
constexpr uint64_t kMaxRopePositions = 1u << 28;

struct ScalingName {
  RopeScaling scaling;
  std::string_view name;
};
constexpr ScalingName kScalingNames[] = {{RopeScaling::kNone, "default"},
                                         {RopeScaling::kLinear, "linear"},
                                         {RopeScaling::kLlama3, "llama3"},
                                         {RopeScaling::kYarn, "yarn"}};

// The factor on cos and sin that YaRN calls the attention temperature's square root.
double YarnMagnitude(double factor, double coefficient) {
  return factor <= 1 ? 1 : 0.1 * coefficient * std::log(factor) + 1;
}

Status ReadLlama3(const JsonObject& config, Rope& rope) {
  ASSIGN_OR_RETURN(rope.low_frequency_factor, config.Number("low_freq_factor", 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.high_frequency_factor, config.Number("high_freq_factor", 1e-6, 1e6));
  if (rope.high_frequency_factor <= rope.low_frequency_factor) {
    return config.Wrong("high_freq_factor", "expected more than low_freq_factor");
  }
  ASSIGN_OR_RETURN(rope.original_positions,
                   config.Uint("original_max_position_embeddings", 1, kMaxRopePositions));
  return {};
}

Status ReadYarn(const JsonObject& config, uint32_t positions, Rope& rope) {
  ASSIGN_OR_RETURN(rope.beta_fast, config.NumberOr("beta_fast", 32, 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.beta_slow, config.NumberOr("beta_slow", 1, 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.truncate, config.BoolOr("truncate", true));
  ASSIGN_OR_RETURN(rope.original_positions, config.UintOr("original_max_position_embeddings",
                                                          positions, 1, kMaxRopePositions));
  if (config.Has("attention_factor")) {
    ASSIGN_OR_RETURN(rope.magnitude, config.Number("attention_factor", 1e-6, 1e6));
    return {};
  }
  ASSIGN_OR_RETURN(const double mscale, config.NumberOr("mscale", 0, 0, 1e6));
  ASSIGN_OR_RETURN(const double mscale_all, config.NumberOr("mscale_all_dim", 0, 0, 1e6));
  rope.magnitude = mscale > 0 && mscale_all > 0
                       ? YarnMagnitude(rope.factor, mscale) / YarnMagnitude(rope.factor, mscale_all)
                       : YarnMagnitude(rope.factor, 1);
  return {};
}

double Llama3Frequency(const Rope& rope, double frequency) {
  const double wavelength = kTwoPi / frequency;
  const double longest = rope.original_positions / rope.low_frequency_factor;
  const double shortest = rope.original_positions / rope.high_frequency_factor;
  if (wavelength < shortest) return frequency;
  if (wavelength > longest) return frequency / rope.factor;
  const double smooth = (rope.original_positions / wavelength - rope.low_frequency_factor) /
                        (rope.high_frequency_factor - rope.low_frequency_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

// The dimension whose angle makes `rotations` turns over the original context.
double YarnDimension(const Rope& rope, double rotations, uint32_t head_size) {
  return head_size * std::log(rope.original_positions / (rotations * kTwoPi)) /
         (2 * std::log(rope.theta));
}

}  // namespace

std::string_view RopeScalingName(RopeScaling scaling) {
  for (const ScalingName& entry : kScalingNames) {
    if (entry.scaling == scaling) return entry.name;
  }
  CHECK(false);
  __builtin_unreachable();
}

Result<RopeScaling> ParseRopeScaling(std::string_view name) {
  for (const ScalingName& entry : kScalingNames) {
    if (entry.name == name) return entry.scaling;
  }
  return Fail(Code::kUnimplemented,
              StrCat("rotary scaling \"", name,
                     "\" is not supported; supported: default, linear, llama3, yarn"));
}

Result<Rope> ReadRope(const JsonObject& config, uint32_t positions) {
  Rope rope;
  // Where the kind and its numbers stand: `rope_parameters` has theta inside, the older spelling
  // has it beside `rope_scaling`.
  JsonObject scaling = config;
  bool scaled = false;
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    if (!config.Has(name)) continue;
    ASSIGN_OR_RETURN(scaling, config.Object(name));
    scaled = true;
    break;
  }
  const JsonObject& theta_holder = scaled && scaling.Has("rope_theta") ? scaling : config;
  ASSIGN_OR_RETURN(rope.theta, theta_holder.NumberOr("rope_theta", 10000, 1.0001, 1e12));
  for (const JsonObject* object : {&config, static_cast<const JsonObject*>(&scaling)}) {
    ASSIGN_OR_RETURN(const double rotated, object->NumberOr("partial_rotary_factor", 1, 0, 1));
    if (rotated != 1) {
      return Fail(Code::kUnimplemented, StrCat(object->where(), ": partial_rotary_factor ", rotated,
                                               " is not supported; only whole heads are rotated"));
    }
  }
  if (!scaled) return rope;
  for (const auto& [name, value] : scaling.object()) {
    if (value.is_object()) {
      return Fail(Code::kUnimplemented,
                  StrCat(scaling.where(), ": different parameters for kinds of layers (\"",
                         std::string_view(name.data(), name.size()), "\") are not supported"));
    }
  }

  const char* kind_name = scaling.Has("rope_type") || !scaling.Has("type") ? "rope_type" : "type";
  ASSIGN_OR_RETURN(const std::string kind, scaling.TextOr(kind_name, "default"));
  auto parsed = ParseRopeScaling(kind);
  if (!parsed) return FailWithContext(std::move(parsed).error(), scaling.where());
  rope.scaling = *parsed;
  if (rope.scaling == RopeScaling::kNone) return rope;
  ASSIGN_OR_RETURN(rope.factor, scaling.Number("factor", 1e-6, 1e6));
  if (rope.scaling == RopeScaling::kLlama3) RETURN_IF_ERROR(ReadLlama3(scaling, rope));
  if (rope.scaling == RopeScaling::kYarn) RETURN_IF_ERROR(ReadYarn(scaling, positions, rope));
  return rope;
}

std::vector<double> RopeFrequencies(const Rope& rope, uint32_t head_size) {
  CHECK(head_size > 0 && head_size % 2 == 0);
  double low = 0;   // kYarn: dimensions below keep their frequency,
  double high = 0;  // those above are divided by the factor.
  if (rope.scaling == RopeScaling::kYarn) {
    low = YarnDimension(rope, rope.beta_fast, head_size);
    high = YarnDimension(rope, rope.beta_slow, head_size);
    if (rope.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, head_size - 1.0);
    if (low == high) high += 0.001;
  }
  std::vector<double> frequencies(head_size / 2);
  for (uint32_t i = 0; i < frequencies.size(); ++i) {
    double frequency = std::pow(rope.theta, -2.0 * i / head_size);
    switch (rope.scaling) {
      case RopeScaling::kNone:
        break;
      case RopeScaling::kLinear:
        frequency /= rope.factor;
        break;
      case RopeScaling::kLlama3:
        frequency = Llama3Frequency(rope, frequency);
        break;
      case RopeScaling::kYarn: {
        const double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
        frequency = frequency / rope.factor * ramp + frequency * (1 - ramp);
        break;
      }
    }
    frequencies[i] = frequency;
  }
  return frequencies;
}

RopeTables MakeRopeTables(const Rope& rope, uint32_t head_size, uint32_t positions) {
  const std::vector<double> frequencies = RopeFrequencies(rope, head_size);
  RopeTables tables;
  tables.cos.reserve(size_t{positions} * frequencies.size());
  tables.sin.reserve(size_t{positions} * frequencies.size());
  for (uint32_t position = 0; position < positions; ++position) {
    for (const double frequency : frequencies) {
      const double angle = position * frequency;
      tables.cos.push_back(static_cast<float>(std::cos(angle) * rope.magnitude));
      tables.sin.push_back(static_cast<float>(std::sin(angle) * rope.magnitude));
    }
  }
  return tables;
}

}  // namespace shoal::model
