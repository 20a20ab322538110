// devices.json: the devices of a planned swarm, for `shoal plan`. docs/planner.md describes it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "planner/problem.h"

namespace shoal::cli {

// What the file says of one kind of device.
struct DeviceKind {
  std::string name;
  uint32_t first = 0;  // Its volunteers' places in Problem::volunteers: [first, first + count).
  uint32_t count = 0;
  std::string weights;  // The pack's set that they have; empty: its first.
};

struct DevicesFile {
  planner::Problem problem;  // Without blocks, all in the first form; nodes are numbered from 1.
  std::vector<DeviceKind> kinds;

  // "laptop", or "laptop 2" where there are several.
  std::string NameOf(NodeId node) const;
};

// `where` names the file in errors. kInvalidArgument with the field at fault.
Result<DevicesFile> ParseDevices(std::string_view text, std::string_view where);

}  // namespace shoal::cli
