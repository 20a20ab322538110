// Bugs that can be switched on. Each is a slip that somebody could make in the swarm, the hub or a
// volunteer; they sit where frames and effects pass, so that the code under test stays as it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace shoal::simulator {

enum class Plant : uint8_t {
  kNone,
  kDropRebuild,
  kAcceptOldEpoch,
  kStaleKv,
  kForgetLease,
  kDoubleSend,
  kLoseChunk,
  kLateRollback,
  kCreditTwice,
  kCopyBeside,
  kLoseKv,
};

struct PlantInfo {
  Plant plant;
  std::string_view name;
  std::string_view what;
};

std::span<const PlantInfo> AllPlants();
std::optional<Plant> PlantFromName(std::string_view name);

}  // namespace shoal::simulator
