#include "simulator/plants.h"

#include <algorithm>

namespace shoal::simulator {

namespace {

constexpr PlantInfo kPlants[] = {
    {Plant::kDropRebuild, "drop-rebuild", "a rebuild's rows are not sent"},
    {Plant::kAcceptOldEpoch, "accept-old-epoch",
     "coordinator and volunteers take what belongs to routes that were replaced"},
    {Plant::kStaleKv, "stale-kv", "volunteers keep KV that they were told to forget, and use it"},
    {Plant::kForgetLease, "forget-lease", "a session's KV is not released when it ends"},
    {Plant::kDoubleSend, "double-send", "now and then a step is sent twice"},
    {Plant::kLoseChunk, "lose-chunk", "now and then a chunk of a prompt is not sent"},
    {Plant::kLateRollback, "late-rollback", "KV is cut back after the next step instead of before"},
    {Plant::kCreditTwice, "credit-twice", "now and then a step is credited twice"},
    {Plant::kCopyBeside, "copy-beside", "a copied prefix ends with the KV of the next position"},
    {Plant::kLoseKv, "lose-kv", "now and then KV that a leaving volunteer sends is not passed on"},
};

}  // namespace

std::span<const PlantInfo> AllPlants() { return kPlants; }

std::optional<Plant> PlantFromName(std::string_view name) {
  const auto at = std::ranges::find(kPlants, name, &PlantInfo::name);
  if (at == std::end(kPlants)) return std::nullopt;
  return at->plant;
}

}  // namespace shoal::simulator
