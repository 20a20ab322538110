// Lists of numbers as they are written on the command line: "5,17,290".
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoal::cli {

// Whole numbers from 0 to `max`, separated by commas, without blanks; empty text is an empty list.
Result<std::vector<uint32_t>> ParseNumbers(std::string_view text, uint32_t max);

}  // namespace shoal::cli
