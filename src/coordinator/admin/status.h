// GET /status.json: what the swarm is and does, for the pages and `shoal status`;
// docs/operating.md lists its fields.
#pragma once

#include <string>

#include "coordinator/admin/history.h"
#include "coordinator/hub/hub.h"

namespace shoal {

// The serialised JSON.
// `is_private`: joining needs a secret.
std::string StatusJson(const Hub& hub, const std::string& model_name, bool is_private);

// The swarm as it is now, for the history.
HistorySample Look(const Hub& hub, int64_t unix_seconds);

}  // namespace shoal
