// One step frame: its rows are checked and grouped by session, run, and turned into frames for the
// next stages. A session that cannot go on gets an error frame; the others go on.
//
// Admit and Finish belong to the loop's thread; between them the request is run elsewhere.
#pragma once

#include <cstdint>
#include <vector>

#include "volunteer/outbox.h"
#include "volunteer/session_table.h"
#include "volunteer/stage_runner.h"
#include "wire/frames.h"

namespace shoal::volunteer {

// What a step is run with; all outlive it.
struct StepContext {
  SessionTable& sessions;
  Outbox& outbox;
  const wire::Assign& assign;
  bool has_head = false;
};

// Consecutive rows of one session in the frame.
struct StepGroup {
  SessionPtr session;
  Epoch epoch;
  size_t first_row = 0;  // Index into the frame's rows.
  uint32_t rows = 0;
  // Of a stage with the head: those that want a token.
  struct Wanted {
    uint32_t row = 0;  // Within the group.
    const wire::Sampling* sampling = nullptr;
  };
  std::vector<Wanted> wanted;
};

// A step whose refused sessions have been answered. Views `step`, which must stay where it is.
struct AdmittedStep {
  std::vector<StepGroup> groups;  // None: nothing is to be run.
  RunRequest request;
};
AdmittedStep AdmitStep(const StepContext& context, const wire::Step& step);

// What a step cost, for counters and the report.
struct StepDone {
  uint32_t rows = 0;
  uint32_t tokens = 0;
  uint64_t bytes_out = 0;
};
// Brings the sessions in line with their KV caches and sends what was computed.
StepDone FinishStep(const StepContext& context, const wire::Step& step,
                    const AdmittedStep& admitted, RunResult result);

}  // namespace shoal::volunteer
