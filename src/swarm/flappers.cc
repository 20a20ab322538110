// Volunteers that come and go every few seconds: each time the swarm would load, route and recover
// for nothing. Whoever left soon several times in a row is watched for a while before it is given
// anything; and everybody's stays tell the planner how long they will be here.
#include <algorithm>

#include "base/str_cat.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {
constexpr Micros kShortStay = 30 * kSecond;
constexpr uint32_t kShortStaysMax = 2;             // In a row; with the next one it is quarantined.
constexpr Micros kQuarantineFirst = 30 * kSecond;  // Doubles with every further short stay.
constexpr uint32_t kQuarantineDoublings = 5;
constexpr Micros kForgiven = 1800 * kSecond;  // After so long away.
constexpr size_t kPastsMax = 4096;
// A stay of which nothing is known, and how many known ones it counts for.
constexpr double kUsualStay = 1800;
constexpr double kUsualStays = 2;
}  // namespace

void Swarm::Recognise(NodeId node, Volunteer& volunteer, Micros now, Effects& out) {
  const auto at = volunteer.identity.empty() ? pasts_.end() : pasts_.find(volunteer.identity);
  if (at == pasts_.end()) return;
  const Past& past = at->second;
  volunteer.stay_s = (kUsualStay * kUsualStays + past.stayed_s) / (kUsualStays + past.stays);
  if (past.short_stays <= kShortStaysMax || now - past.left_at > kForgiven) return;
  const uint32_t doublings = std::min(past.short_stays - kShortStaysMax - 1, kQuarantineDoublings);
  const Micros pause = kQuarantineFirst << doublings;
  volunteer.excluded_until = now + pause;
  out.push_back(Note{StrCat("volunteer ", node.value, " left soon ", past.short_stays,
                            " times in a row: it is given nothing for ", pause / kSecond, " s")});
}

void Swarm::RememberStay(const Volunteer& volunteer, Micros now) {
  if (volunteer.identity.empty()) return;
  if (!pasts_.contains(volunteer.identity) && pasts_.size() >= kPastsMax) {
    pasts_.erase(std::ranges::min_element(pasts_, {},
                                          [](const auto& entry) { return entry.second.left_at; }));
  }
  Past& past = pasts_[volunteer.identity];
  const Micros stay = now - volunteer.joined_at;
  ++past.stays;
  past.stayed_s += static_cast<double>(stay) / kSecond;
  past.short_stays = stay < kShortStay ? past.short_stays + 1 : 0;
  past.left_at = now;
}

}  // namespace shoal::swarm
