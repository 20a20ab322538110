// The toy model's inputs and hidden states as payloads of frames.
#pragma once

#include <cstring>

#include "base/bytes.h"
#include "simulator/toy_model.h"
#include "wire/codec.h"

namespace shoal::simulator {

// Four floats, 16 bits of the hidden state in each.
inline void WriteHidden(uint64_t hidden, ByteVector& payload) {
  ByteWriter out(payload);
  for (int i = 0; i < 4; ++i) out.Write(static_cast<float>(hidden >> (16 * i) & 0xffff));
}

// The input in that row of a step: a token's embedding, or a hidden state.
inline uint64_t ReadInput(const wire::Step& step, size_t row) {
  if (step.type == wire::PayloadType::kTokens) {
    int32_t token = 0;
    std::memcpy(&token, step.payload.data() + 4 * row, 4);
    return Embed(token);
  }
  uint64_t hidden = 0;
  for (size_t i = 0; i < kHiddenWidth; ++i) {
    float part = 0;
    std::memcpy(&part, step.payload.data() + 4 * (row * kHiddenWidth + i), 4);
    hidden |= static_cast<uint64_t>(part) << (16 * i);
  }
  return hidden;
}

}  // namespace shoal::simulator
