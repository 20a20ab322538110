// Who is lost, when and how. Knows nothing of what must hold.
#pragma once

#include "simulator/world.h"

namespace shoal::simulator {

class Faults {
 public:
  explicit Faults(World& world) : world_(world) {}

  // Plans the faults of a run; they end at `until`, by which everything has healed. The forced
  // losses of volunteers in use happen while requests are under way.
  void Start(Micros until);
  // Losses of volunteers in use that are still to come.
  bool HasMore() const { return world_.counters().losses < losses_wanted_; }

 private:
  enum class Kind : uint8_t { kClose, kCrash, kFreeze, kLeave };
  void EveryNowAndThen(double per_minute, std::function<void()> what);
  void Strike(Kind kind, NodeId node);
  void StrikeSomebodyInUse(Micros pause);
  void Partition();
  void SlowDown();
  void Flap(uint64_t identity);
  void ComeBack(uint64_t identity, CachedFiles cached);
  NodeId Somebody(bool in_use);

  World& world_;
  Micros until_ = 0;
  uint32_t losses_wanted_ = 0;
};

}  // namespace shoal::simulator
