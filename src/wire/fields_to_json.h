// Writes a struct's fields as a JSON object.
#pragma once

#include <string>

#include "wire/field_types.h"
#include "wire/json.h"

namespace shoal::wire {

// Appends `object`, a struct that is only read, to `out`. Floats that are not finite, which only a
// frame that was never encoded can have, become null.
void FieldsToJson(FieldRef object, PayloadForm form, std::string& out);

}  // namespace shoal::wire
