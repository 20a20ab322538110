// Writes a body's fields as bytes.
#pragma once

#include "base/bytes.h"
#include "wire/field_types.h"

namespace shoal::wire {

// Appends to `out`, which holds the frame from its header on. `body` is only read.
void EncodeFields(FieldRef body, ByteVector& out);

}  // namespace shoal::wire
