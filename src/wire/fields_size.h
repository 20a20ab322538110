// How large a body's bytes will be, without making them.
#pragma once

#include "wire/field_types.h"

namespace shoal::wire {

// At least as many as there will be: padding and what strings may grow to when they are mended are
// counted in full. `body` is only read.
uint64_t WireBytesAtMost(FieldRef body);

}  // namespace shoal::wire
