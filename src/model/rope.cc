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
                                         {RopeScaling::kYarn, "yarn"},
                                         {RopeScaling::kLongRope, "longrope"}};

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
  ASSIGN_OR_RETURN(const double mscale, config.NumberOr("mscale", 0, 0, 1e6));
  ASSIGN_OR_RETURN(const double mscale_all, config.NumberOr("mscale_all_dim", 0, 0, 1e6));
  if (config.Has("attention_factor")) {
    ASSIGN_OR_RETURN(rope.magnitude, config.Number("attention_factor", 1e-6, 1e6));
    return {};
  }
  rope.magnitude = mscale > 0 && mscale_all > 0
                       ? YarnMagnitude(rope.factor, mscale) / YarnMagnitude(rope.factor, mscale_all)
                       : YarnMagnitude(rope.factor, 1);
  return {};
}

// `config` is the whole file: some of the numbers may stand there.
Status ReadLongRope(const JsonObject& config, const JsonObject& scaling, uint32_t positions,
                    Rope& rope) {
  constexpr std::string_view kOriginal = "original_max_position_embeddings";
  const JsonObject& holder = scaling.Has(kOriginal) ? scaling : config;
  ASSIGN_OR_RETURN(rope.original_positions,
                   holder.UintOr(kOriginal, positions, 1, kMaxRopePositions));
  ASSIGN_OR_RETURN(
      rope.factor,
      scaling.NumberOr("factor", static_cast<double>(positions) / rope.original_positions, 1e-6,
                       1e6));
  ASSIGN_OR_RETURN(rope.short_factors, scaling.Numbers("short_factor", 1e-6, 1e6, rope.dims / 2));
  ASSIGN_OR_RETURN(rope.long_factors, scaling.Numbers("long_factor", 1e-6, 1e6, rope.dims / 2));
  const double usual =
      rope.factor <= 1 || rope.original_positions == 1
          ? 1
          : std::sqrt(1 + std::log(rope.factor) /
                              std::log(static_cast<double>(rope.original_positions)));
  ASSIGN_OR_RETURN(rope.magnitude, scaling.NumberOr("attention_factor", usual, 1e-6, 1e6));
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
double YarnDimension(const Rope& rope, double rotations) {
  return rope.dims * std::log(rope.original_positions / (rotations * kTwoPi)) /
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
                     "\" is not supported; supported: default, linear, llama3, yarn, longrope"));
}

namespace {

// `scaling` holds the kind and its numbers; theta and the share of a head stand there, or in
// `config`.
Result<Rope> ReadRope(const JsonObject& config, const JsonObject& scaling, uint32_t positions,
                      uint32_t head_size) {
  Rope rope;
  const auto holder = [&](std::string_view name) -> const JsonObject& {
    return scaling.Has(name) ? scaling : config;
  };
  ASSIGN_OR_RETURN(rope.theta, holder("rope_theta").NumberOr("rope_theta", 10000, 1.0001, 1e12));
  constexpr std::string_view kShare = "partial_rotary_factor";
  ASSIGN_OR_RETURN(const double share, holder(kShare).NumberOr(kShare, 1, 1e-3, 1));
  rope.dims = static_cast<uint32_t>(head_size * share);
  if (rope.dims < 2 || rope.dims % 2 != 0) {
    return holder(kShare).Wrong(kShare, StrCat(rope.dims, " of ", head_size,
                                               " values would turn; expected an even number"));
  }
  if (&scaling == &config) return rope;
  const char* kind_name = scaling.Has("rope_type") || !scaling.Has("type") ? "rope_type" : "type";
  ASSIGN_OR_RETURN(std::string kind, scaling.TextOr(kind_name, "default"));
  if (kind == "su") kind = "longrope";  // What it was called before it was published.
  auto parsed = ParseRopeScaling(kind);
  if (!parsed) return FailWithContext(std::move(parsed).error(), scaling.where());
  rope.scaling = *parsed;
  if (rope.scaling == RopeScaling::kNone) return rope;
  if (rope.scaling == RopeScaling::kLongRope) {
    RETURN_IF_ERROR(ReadLongRope(config, scaling, positions, rope));
    return rope;
  }
  ASSIGN_OR_RETURN(rope.factor, scaling.Number("factor", 1e-6, 1e6));
  if (rope.scaling == RopeScaling::kLlama3) RETURN_IF_ERROR(ReadLlama3(scaling, rope));
  if (rope.scaling == RopeScaling::kYarn) RETURN_IF_ERROR(ReadYarn(scaling, positions, rope));
  return rope;
}

}  // namespace

Result<std::vector<Rope>> ReadRopes(const JsonObject& config, uint32_t positions,
                                    uint32_t head_size) {
  std::vector<Rope> ropes;
  const auto add = [&](const JsonObject& scaling) -> Status {
    ASSIGN_OR_RETURN(Rope rope, ReadRope(config, scaling, positions, head_size));
    ropes.push_back(std::move(rope));
    return {};
  };
  const char* name = config.Has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!config.Has(name)) {
    RETURN_IF_ERROR(add(config));
  } else {
    ASSIGN_OR_RETURN(const JsonObject scaling, config.Object(name));
    if (scaling.Has("full_attention") || scaling.Has("sliding_attention")) {
      for (const char* kind : {"full_attention", "sliding_attention"}) {
        ASSIGN_OR_RETURN(const JsonObject part, scaling.Object(kind));
        RETURN_IF_ERROR(add(part));
      }
      return ropes;
    }
    RETURN_IF_ERROR(add(scaling));
  }
  if (config.Has("rope_local_base_freq")) {  // Gemma 3 before transformers 5.
    Rope local{.dims = ropes[0].dims};
    ASSIGN_OR_RETURN(local.theta, config.Number("rope_local_base_freq", 1.0001, 1e12));
    ropes.push_back(std::move(local));
  }
  return ropes;
}

Result<double> ReadLatentScale(const JsonObject& config) {
  const char* name = config.Has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!config.Has(name)) return 1;
  ASSIGN_OR_RETURN(const JsonObject scaling, config.Object(name));
  ASSIGN_OR_RETURN(const double mscale_all, scaling.NumberOr("mscale_all_dim", 0, 0, 1e6));
  if (mscale_all == 0) return 1;
  ASSIGN_OR_RETURN(const double factor, scaling.Number("factor", 1e-6, 1e6));
  return YarnMagnitude(factor, mscale_all);
}

std::vector<double> RopeFrequencies(const Rope& rope, uint32_t positions) {
  const uint32_t dims = rope.dims;
  CHECK(dims > 0 && dims % 2 == 0);
  const std::vector<double>& factors =
      positions > rope.original_positions ? rope.long_factors : rope.short_factors;
  CHECK(rope.scaling != RopeScaling::kLongRope || factors.size() == dims / 2);
  double low = 0;   // kYarn: dimensions below keep their frequency,
  double high = 0;  // those above are divided by the factor.
  if (rope.scaling == RopeScaling::kYarn) {
    low = YarnDimension(rope, rope.beta_fast);
    high = YarnDimension(rope, rope.beta_slow);
    if (rope.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, dims - 1.0);
    if (low == high) high += 0.001;
  }
  std::vector<double> frequencies(dims / 2);
  for (uint32_t i = 0; i < frequencies.size(); ++i) {
    double frequency = std::pow(rope.theta, -2.0 * i / dims);
    switch (rope.scaling) {
      case RopeScaling::kNone:
        break;
      case RopeScaling::kLinear:
        frequency /= rope.factor;
        break;
      case RopeScaling::kLongRope:
        frequency /= factors[i];
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

uint32_t TurningRoom(const Rope& rope) {
  return (rope.dims + kTurningMultiple - 1) / kTurningMultiple * kTurningMultiple;
}

RopeTables MakeRopeTables(const Rope& rope, uint32_t positions) {
  const std::vector<double> frequencies = RopeFrequencies(rope, positions);
  const size_t pairs = TurningRoom(rope) / 2;
  RopeTables tables;
  tables.cos.reserve(positions * pairs);
  tables.sin.reserve(positions * pairs);
  for (uint32_t position = 0; position < positions; ++position) {
    for (const double frequency : frequencies) {
      const double angle = position * frequency;
      tables.cos.push_back(static_cast<float>(std::cos(angle) * rope.magnitude));
      tables.sin.push_back(static_cast<float>(std::sin(angle) * rope.magnitude));
    }
    tables.cos.resize((position + 1) * pairs, 1);
    tables.sin.resize((position + 1) * pairs, 0);
  }
  return tables;
}

}  // namespace shoal::model
