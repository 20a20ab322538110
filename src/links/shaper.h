// When does which byte leave an emulated link? Pure: times are handed in, random numbers come from
// a seed. One Shaper is one direction of a link, shared by all connections over it.
//
// The model: a connection's bytes are cut into packets of kPacketBytes. Packets of all connections
// go out one after another at the link's rate, travel for `delay` and up to `jitter` more, and
// leave in the order of their connection. A lost packet is what TCP makes of it: it and all behind
// it on its connection wait for the retransmission. While the link is cut nothing leaves; what was
// under way comes after the healing, one retransmission later.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace shoal::links {

// Payload of an Ethernet frame's TCP segment.
inline constexpr size_t kPacketBytes = 1448;
inline constexpr Micros kRetransmit = 200 * kMillisecond;

struct LinkTraits {
  Micros delay = 0;                 // One way.
  Micros jitter = 0;                // Up to this much more for each packet, evenly.
  double bytes_per_second = 0;      // 0: no limit.
  double loss = 0;                  // Probability that a packet is lost, in [0, 1).
  Micros retransmit = kRetransmit;  // A lost packet comes this and a round trip (2 delays) later.
};

// Bytes that leave together.
struct Piece {
  Micros leaves = 0;
  size_t bytes = 0;
};

class Shaper {
 public:
  Shaper(const LinkTraits& traits, uint64_t seed) : traits_(traits), random_(seed) {}

  const LinkTraits& traits() const { return traits_; }
  // For what is handed over from now on.
  void SetTraits(const LinkTraits& traits) { traits_ = traits; }

  // What is handed over at `now` (never earlier than in a call before), in order, after what the
  // same connection handed over before; `last` is that connection's, 0 in the beginning. Pieces add
  // up to `bytes`; their times do not fall. No bytes: the end of the stream, one piece of none.
  std::vector<Piece> Send(Micros now, size_t bytes, Micros& last);

  // For how long the sender will be busy with what it was handed.
  Micros Backlog(Micros now) const { return busy_until_ > now ? busy_until_ - now : 0; }

  void Cut(Micros now);
  void Heal(Micros now);
  bool is_cut() const { return cut_; }
  // When a piece that was to leave at `planned` does, as far as the cuts until now say; nullopt
  // while a cut holds it. A piece is in order with others of its connection in any case.
  std::optional<Micros> Leaves(Micros planned) const;

 private:
  Micros Lost() const { return 2 * traits_.delay + traits_.retransmit; }

  LinkTraits traits_;
  Random random_;
  Micros busy_until_ = 0;
  double busy_rest_ = 0;  // Of a microsecond.
  // The last cut, joined with those before it whose retransmissions it held.
  bool cut_ = false;
  Micros cut_at_ = 0;
  Micros held_until_ = 0;
};

}  // namespace shoal::links
