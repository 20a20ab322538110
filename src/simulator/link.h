// One direction of a connection: bytes go out one after another at the link's rate, then travel
// with latency and jitter, and arrive in order. A lost packet is a stall (as TCP shows it); during
// a partition nothing gets through, and what was sent comes after it.
#pragma once

#include <algorithm>

#include "base/random.h"
#include "base/time.h"

namespace shoal::simulator {

struct LinkTraits {
  Micros latency = 10 * kMillisecond;
  Micros jitter = 0;  // Up to this much more, evenly.
  double bytes_per_second = 1e6;
  double loss = 0;  // Probability that a frame is stalled by a lost packet.
};

class Link {
 public:
  explicit Link(const LinkTraits& traits) : traits_(traits) {}
  const LinkTraits& traits() const { return traits_; }

  // When `bytes` sent at `now` arrive; in order after what was sent before.
  Micros Arrival(Micros now, size_t bytes, Random& random) {
    const Micros start = std::max(now, busy_until_);
    busy_until_ = start + static_cast<Micros>(static_cast<double>(bytes) * kSecond /
                                              traits_.bytes_per_second);
    Micros arrives = busy_until_ + traits_.latency;
    if (traits_.jitter > 0) {
      arrives += static_cast<Micros>(random.Below(static_cast<uint64_t>(traits_.jitter) + 1));
    }
    if (traits_.loss > 0 && random.NextDouble() < traits_.loss) {
      arrives += 2 * traits_.latency + kRetransmit;
    }
    if (arrives < cut_until_) arrives = cut_until_ + traits_.latency + kRetransmit;
    last_arrival_ = std::max(last_arrival_ + 1, arrives);
    return last_arrival_;
  }

  // Nothing arrives before `until`.
  void Cut(Micros until) { cut_until_ = std::max(cut_until_, until); }

 private:
  static constexpr Micros kRetransmit = 200 * kMillisecond;
  LinkTraits traits_;
  Micros busy_until_ = 0;
  Micros last_arrival_ = 0;
  Micros cut_until_ = 0;
};

}  // namespace shoal::simulator
