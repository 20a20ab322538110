// Quantities as people write them: "20ms", "5M", "0.5%", and "UP/DOWN" for two directions.
#pragma once

#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/time.h"

namespace shoal::links {

// "300us", "20ms", "1.5s"; "0" needs no unit. At most an hour.
Result<Micros> ParseDuration(std::string_view text);
// "64K", "20M", "1G": bits per second in powers of 1000, at least 1K; the result is in bytes per
// second. "0": no limit, 0.
Result<double> ParseRate(std::string_view text);
// "0.5%" or "0.005": in [0, 1).
Result<double> ParseShare(std::string_view text);

// "A/B", or "A" for both.
std::pair<std::string_view, std::string_view> SplitWays(std::string_view text);

}  // namespace shoal::links
