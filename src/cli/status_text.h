// A coordinator's /status.json (docs/operating.md has its fields) as people read it.
#pragma once

#include <boost/json/value.hpp>
#include <string>

#include "base/result.h"

namespace shoal::cli {

struct StatusSummary {
  bool is_ready = false;  // Whether a request would be answered.
  std::string text;       // Several lines.
  std::string json;       // One.
};

// kInvalidArgument for JSON that is not a coordinator's. Nothing in it is believed to be harmless
// on a terminal.
Result<StatusSummary> Summarise(const boost::json::value& status, const std::string& url);

}  // namespace shoal::cli
