// What the coordinator asks this volunteer to hold, checked against sense and the lent memory.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "wire/frames.h"

namespace shoal::volunteer {

inline bool HoldsStage(const wire::Assign& assign) { return assign.first != assign.last; }
inline bool HoldsNothing(const wire::Assign& assign) {
  return !HoldsStage(assign) && assign.experts.empty();
}

// The graphs of a stage's parts, or of experts, in order.
std::vector<wire::StageFile> GraphsOf(const wire::Assign& assign);

// Of all files together; saturates, since an assignment is hostile until it has been checked.
uint64_t FileBytes(const wire::Assign& assign);

// Bytes that one position of one session takes in the KV caches of the stage.
uint64_t KvBytesPerPosition(const wire::Assign& assign);

// kInvalidArgument for an assignment that contradicts itself or is beyond any use,
// kResourceExhausted for one that does not fit into `memory_bytes`.
Status CheckAssign(const wire::Assign& assign, uint64_t memory_bytes);

}  // namespace shoal::volunteer
