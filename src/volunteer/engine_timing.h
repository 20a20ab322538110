// How fast a stage runs here, and how fast memory is read: what `shoal bench engine` prints.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "engine/parallel.h"
#include "engine/stage.h"

namespace shoal::volunteer {

// Milliseconds, the best of a few runs each.
struct EngineTimes {
  double decode_ms = 0;   // One row of one session.
  double decode8_ms = 0;  // One row of each of eight sessions.
  double prefill_ms = 0;  // prefill_rows rows of one session from position 0.
  uint32_t prefill_rows = 0;
};

// Times a stage without open sessions 1 to 8, with random hidden states or tokens; every row's
// logits are wanted where it has the head. Errors as Stage::Run and Stage::Open have them.
Result<EngineTimes> TimeStage(engine::Stage& stage, uint32_t prefill_rows);

// GB/s (10^9) of reading 1 GiB once with all threads; the best of three.
double ReadBandwidth(engine::Parallel& parallel);

}  // namespace shoal::volunteer
