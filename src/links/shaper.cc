#include "links/shaper.h"

#include <algorithm>

#include "base/check.h"

namespace shoal::links {

std::vector<Piece> Shaper::Send(Micros now, size_t bytes, Micros& last) {
  std::vector<Piece> pieces;
  if (busy_until_ < now) {
    busy_until_ = now;
    busy_rest_ = 0;
  }
  size_t left = bytes;
  do {
    const size_t packet = std::min(left, kPacketBytes);
    left -= packet;
    if (traits_.bytes_per_second > 0) {
      busy_rest_ += static_cast<double>(packet) * kSecond / traits_.bytes_per_second;
      const auto whole = static_cast<Micros>(busy_rest_);
      busy_until_ += whole;
      busy_rest_ -= static_cast<double>(whole);
    }
    Micros leaves = busy_until_ + traits_.delay;
    if (traits_.jitter > 0) {
      leaves += static_cast<Micros>(random_.Below(static_cast<uint64_t>(traits_.jitter) + 1));
    }
    if (traits_.loss > 0 && random_.NextDouble() < traits_.loss) leaves += Lost();
    last = std::max(last, leaves);
    if (!pieces.empty() && pieces.back().leaves == last) {
      pieces.back().bytes += packet;
    } else {
      pieces.push_back({last, packet});
    }
  } while (left > 0);
  return pieces;
}

void Shaper::Cut(Micros now) {
  if (cut_) return;
  cut_ = true;
  // What the cut before this one holds is held on.
  if (now >= held_until_) cut_at_ = now;
}

void Shaper::Heal(Micros now) {
  if (!cut_) return;
  cut_ = false;
  held_until_ = now + traits_.delay + traits_.retransmit;
}

std::optional<Micros> Shaper::Leaves(Micros planned) const {
  if (planned <= cut_at_) return planned;
  if (cut_) return std::nullopt;
  return std::max(planned, held_until_);
}

}  // namespace shoal::links
