#include "simulator/faults.h"

#include <algorithm>
#include <cmath>

namespace shoal::simulator {

namespace {
Micros Seconds(double seconds) { return static_cast<Micros>(seconds * kSecond); }
constexpr Micros kQuickNotice = 30 * kMillisecond;  // A closing tab ends its socket.
constexpr Micros kForcedPause = 1500 * kMillisecond;
constexpr Micros kShortPause = 200 * kMillisecond;
}  // namespace

void Faults::Start(Micros until) {
  until_ = until;
  const Scenario& s = world_.scenario();
  EveryNowAndThen(s.churn.close, [this] { Strike(Kind::kClose, Somebody(false)); });
  EveryNowAndThen(s.churn.crash, [this] { Strike(Kind::kCrash, Somebody(false)); });
  EveryNowAndThen(s.churn.freeze, [this] { Strike(Kind::kFreeze, Somebody(false)); });
  EveryNowAndThen(s.churn.leave, [this] { Strike(Kind::kLeave, Somebody(false)); });
  EveryNowAndThen(s.partitions, [this] { Partition(); });
  EveryNowAndThen(s.slowdowns, [this] { SlowDown(); });
  for (int i = 0; i < static_cast<int>(s.flappers); ++i) Flap(0);
  losses_wanted_ = s.losses.Count(world_.random());
  StrikeSomebodyInUse(kForcedPause);
}

void Faults::EveryNowAndThen(double per_minute, std::function<void()> what) {
  if (per_minute <= 0) return;
  const double wait_s = -std::log(1 - world_.random().NextDouble()) * 60 / per_minute;
  const Micros when = world_.now() + Seconds(wait_s);
  if (when >= until_) return;
  world_.timeline().At(when, [this, per_minute, what] {
    what();
    EveryNowAndThen(per_minute, what);
  });
}

NodeId Faults::Somebody(bool in_use) {
  std::vector<NodeId> nodes;
  for (const auto& [node, seat] : world_.seats()) {
    if (!seat.connected || !seat.volunteer || seat.volunteer->frozen()) continue;
    if (!in_use || world_.InUse(node)) nodes.push_back(node);
  }
  return nodes.empty() ? NodeId{} : nodes[world_.random().Below(nodes.size())];
}

// Losses that hurt: of volunteers in use, while a session runs.
void Faults::StrikeSomebodyInUse(Micros pause) {
  if (!HasMore()) return;
  const Micros wait = pause + static_cast<Micros>(world_.random().Below(kSecond));
  world_.timeline().After(wait, [this] {
    const NodeId node = Somebody(true);
    const auto& sessions = world_.swarm().sessions();
    const bool running =
        std::ranges::any_of(sessions, [](const auto& entry) { return entry.second.running(); });
    // Nothing to break yet, or any more.
    if (node.value == 0 || !running) return StrikeSomebodyInUse(kShortPause);
    Strike(static_cast<Kind>(world_.random().Below(3)), node);
    StrikeSomebodyInUse(kForcedPause);
  });
}

void Faults::Strike(Kind kind, NodeId node) {
  const auto at = world_.seats().find(node);
  if (at == world_.seats().end() || !at->second.volunteer) return;
  Random& random = world_.random();
  const Scenario& s = world_.scenario();
  const uint64_t identity = at->second.identity;
  CachedFiles cached = at->second.volunteer->traits().cached;
  if (kind == Kind::kFreeze) {
    world_.Trace("volunteer " + std::to_string(node.value) + " freezes");
    at->second.volunteer->Freeze();
    world_.timeline().After(Seconds(s.wakes_s.Draw(random)), [this, node] {
      const auto seat = world_.seats().find(node);
      if (seat != world_.seats().end() && seat->second.volunteer) seat->second.volunteer->Thaw();
    });
    // Somebody else may come meanwhile.
    if (random.Below(2) == 0) ComeBack(0, {});
    return;
  }
  if (kind == Kind::kLeave) {
    world_.Leave(node, Seconds(2 + 6 * random.NextDouble()));
  } else {
    const bool crash = kind == Kind::kCrash;
    const Micros notice = crash ? Seconds(random.NextDouble() * 20) : kQuickNotice;
    world_.Lose(node, notice, crash ? "it crashed" : "it was closed");
  }
  if (random.NextDouble() < s.returns) {
    ComeBack(identity, std::move(cached));
  } else {
    ComeBack(0, {});
  }
}

void Faults::ComeBack(uint64_t identity, CachedFiles cached) {
  const Micros wait = Seconds(world_.scenario().back_s.Draw(world_.random()));
  world_.timeline().After(wait, [this, identity, cached] { world_.Join(identity, cached); });
}

void Faults::Partition() {
  Random& random = world_.random();
  const double part = world_.scenario().partition_part.Draw(random);
  const Micros until = world_.now() + Seconds(world_.scenario().partition_s.Draw(random));
  world_.Trace("the network parts");
  for (auto& [node, seat] : world_.seats()) {
    if (random.NextDouble() >= part) continue;
    seat.up.Cut(until);
    seat.down.Cut(until);
  }
}

void Faults::SlowDown() {
  const NodeId node = Somebody(false);
  const auto at = world_.seats().find(node);
  if (at == world_.seats().end() || !at->second.volunteer) return;
  at->second.volunteer->SetSlowness(10);
  world_.timeline().After(Seconds(10), [this, node] {
    const auto seat = world_.seats().find(node);
    if (seat != world_.seats().end() && seat->second.volunteer) {
      seat->second.volunteer->SetSlowness(1);
    }
  });
}

// Comes, stays for some seconds, goes, comes again.
void Faults::Flap(uint64_t identity) {
  if (world_.now() >= until_) return;
  const NodeId node = world_.Join(identity, {});
  const uint64_t known = world_.seats().at(node).identity;
  Random& random = world_.random();
  world_.timeline().After(Seconds(1 + 4 * random.NextDouble()), [this, node, known] {
    world_.Lose(node, kQuickNotice, "it flaps");
    world_.timeline().After(Seconds(1), [this, known] { Flap(known); });
  });
}

}  // namespace shoal::simulator
