// Where a decoder falls apart into blocks: after the nodes through whose one value everything that
// comes later must pass.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "partition/canonical.h"
#include "partition/reading.h"

namespace shoal::partition {

struct Cut {
  size_t after = 0;   // The last node before the cut.
  std::string value;  // The one that crosses: [batch, sequence, width].
  int64_t width = 0;
};

// One before the first layer's attention, one between any two, and one after the last: all of the
// same width, the smallest that there is. Of several such values between two layers it is the last,
// the first layer's distance from its attention for the last layer. kUnimplemented naming the
// caches between which no single value crosses, and what crosses there.
Result<std::vector<Cut>> FindCuts(const Reading& reading, const Canonical& canonical);

}  // namespace shoal::partition
