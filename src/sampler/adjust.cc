#include "sampler/adjust.h"

#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "base/str_cat.h"

namespace shoal {
namespace {

Status CheckToken(std::string_view what, int32_t token, size_t vocab) {
  if (token >= 0 && static_cast<size_t>(token) < vocab) return {};
  return Fail(Code::kInvalidArgument,
              StrCat(what, ": token ", token, " is not in a vocabulary of ", vocab));
}

Status ApplyMask(std::span<const uint8_t> mask, std::span<float> logits) {
  if (mask.empty()) return {};
  if (mask.size() != (logits.size() + 7) / 8) {
    return Fail(Code::kInvalidArgument, StrCat("mask: ", mask.size(), " bytes; a vocabulary of ",
                                               logits.size(), " needs ", (logits.size() + 7) / 8));
  }
  for (size_t i = 0; i < logits.size(); ++i) {
    if ((mask[i / 8] >> (i % 8) & 1) == 0) logits[i] = -std::numeric_limits<float>::infinity();
  }
  return {};
}

Status ApplyBiases(std::span<const SamplingBias> biases, std::span<float> logits) {
  for (const SamplingBias& bias : biases) {
    RETURN_IF_ERROR(CheckToken("biases", bias.token, logits.size()));
    logits[static_cast<size_t>(bias.token)] += bias.bias;
  }
  return {};
}

bool Penalises(const SamplingParameters& parameters) {
  return parameters.repetition_penalty != 1 || parameters.frequency_penalty != 0 ||
         parameters.presence_penalty != 0;
}

Status ApplyPenalties(const SamplingParameters& parameters, std::span<float> logits) {
  std::vector<uint32_t> counts(logits.size());
  for (const int32_t token : parameters.history) {
    RETURN_IF_ERROR(CheckToken("history", token, logits.size()));
    ++counts[static_cast<size_t>(token)];
  }
  for (const int32_t token : parameters.history) {
    const auto id = static_cast<size_t>(token);
    if (counts[id] == 0) continue;  // It was there before.
    const auto count = static_cast<float>(std::exchange(counts[id], 0));
    float& logit = logits[id];
    if (logit > 0) {
      logit /= parameters.repetition_penalty;
    } else {
      logit *= parameters.repetition_penalty;
    }
    logit -= count * parameters.frequency_penalty + parameters.presence_penalty;
  }
  return {};
}

}  // namespace

bool AdjustsLogits(const SamplingParameters& parameters) {
  return !parameters.mask.empty() || !parameters.biases.empty() ||
         (!parameters.history.empty() && Penalises(parameters));
}

Status AdjustLogits(const SamplingParameters& parameters, std::span<float> logits) {
  RETURN_IF_ERROR(ApplyMask(parameters.mask, logits));
  RETURN_IF_ERROR(ApplyBiases(parameters.biases, logits));
  if (Penalises(parameters)) RETURN_IF_ERROR(ApplyPenalties(parameters, logits));
  return {};
}

}  // namespace shoal
