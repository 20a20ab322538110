#include "churn_model.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <queue>
#include <vector>

#include "base/check.h"
#include "base/random.h"

namespace shoal::availability {

namespace {

constexpr double kShape = 0.5;
constexpr double kWarmUp = 3600;
constexpr int kLooks = 8;  // Spare people looked at by Choice::kLongestHere.

enum class Kind : uint8_t { kJoin, kLeave, kLoaded };

struct Event {
  double when;
  uint32_t person;
  uint32_t stay;  // Of which it is: events of an earlier one are void.
  Kind kind;
  bool operator<(const Event& other) const { return when > other.when; }
};

struct Person {
  double since = 0;
  uint32_t stay = 0;
  uint16_t first = 0, last = 0;  // Blocks that it holds or loads.
  uint16_t room = 0;             // Blocks that it could hold.
  bool ready = false;
  float gb_per_s = 0;
  uint32_t spare_at = UINT32_MAX;  // Its place among the spare.
};

class World {
 public:
  explicit World(const Scenario& scenario)
      : s_(scenario),
        random_(scenario.seed),
        people_(scenario.people),
        wanted_(scenario.blocks, 0),
        ready_(scenario.blocks, 0),
        missing_(scenario.blocks) {
    for (uint32_t i = 0; i < s_.people; ++i) {
      // Memory of phones, laptops and desktops: one to ten blocks.
      const double memory_gb = std::exp2(1.2 + 3 * random_.NextDouble());
      people_[i].room = static_cast<uint16_t>(memory_gb / (1.1 * s_.block_gb));
      people_[i].gb_per_s = static_cast<float>(std::exp2(5 + 3 * random_.NextDouble()) / 8000);
      Push(random_.NextDouble() * 2 * s_.stay_minutes * 60, i, Kind::kJoin);
    }
  }

  Outcome Go() {
    const double end = s_.hours * 3600;
    while (!events_.empty() && events_.top().when < end) {
      const Event event = events_.top();
      events_.pop();
      Pass(event.when);
      Person& person = people_[event.person];
      if (event.stay != person.stay) continue;
      if (event.kind == Kind::kJoin) Join(event.person);
      if (event.kind == Kind::kLeave) Leave(event.person);
      if (event.kind == Kind::kLoaded) Loaded(person);
    }
    Pass(end);
    const double counted = end - kWarmUp;
    out_.available = up_s_ / counted;
    out_.outage_s = out_.outages == 0 ? 0 : (counted - up_s_) / static_cast<double>(out_.outages);
    out_.wasted = out_.loaded_tb == 0 ? 0 : wasted_tb_ / out_.loaded_tb;
    out_.holders = holder_s_ / counted;
    return out_;
  }

 private:
  void Push(double when, uint32_t person, Kind kind) {
    events_.push({when, person, people_[person].stay, kind});
  }

  void Pass(double when) {
    const double counted = std::max(0.0, when - std::max(now_, kWarmUp));
    if (missing_ == 0) up_s_ += counted;
    holder_s_ += counted * holders_;
    now_ = when;
  }

  double Exponential(double mean) { return -mean * std::log(1 - random_.NextDouble()); }

  void Join(uint32_t index) {
    Person& person = people_[index];
    ++out_.joins;
    person.since = now_;
    const double mean = s_.stay_minutes * 60;
    const double scale = mean / std::tgamma(1 + 1 / kShape);
    const double stay = scale * std::pow(-std::log(1 - random_.NextDouble()), 1 / kShape);
    Push(now_ + stay, index, Kind::kLeave);
    if (person.room == 0) return;
    person.spare_at = static_cast<uint32_t>(spare_.size());
    spare_.push_back(index);
    Fill();
  }

  void Leave(uint32_t index) {
    Person& person = people_[index];
    ++out_.leaves;
    if (person.spare_at != UINT32_MAX) TakeSpare(person.spare_at);
    const uint16_t first = person.first;
    const uint16_t last = person.last;
    if (first != last) {
      --holders_;
      if (!person.ready) wasted_tb_ += (last - first) * s_.block_gb / 1000;
    }
    for (uint16_t b = first; b < last; ++b) {
      --wanted_[b];
      if (person.ready) Count(b, -1);
    }
    person.first = person.last = 0;
    person.ready = false;
    ++person.stay;
    const double day = std::sin(2 * std::numbers::pi * now_ / 86'400);
    Push(now_ + Exponential(s_.stay_minutes * 60 / (1 + s_.daily_swing * day)), index, Kind::kJoin);
    if (first != last) Fill();
  }

  void Loaded(Person& person) {
    person.ready = true;
    for (uint16_t b = person.first; b < person.last; ++b) Count(b, 1);
  }

  void Count(uint16_t block, int change) {
    const bool was_up = missing_ == 0;
    if (ready_[block] == 0) --missing_;
    ready_[block] = static_cast<uint32_t>(static_cast<int>(ready_[block]) + change);
    if (ready_[block] == 0) ++missing_;
    if (was_up && missing_ > 0 && now_ > kWarmUp) ++out_.outages;
  }

  uint32_t TakeSpare(uint32_t place) {
    const uint32_t index = spare_[place];
    people_[index].spare_at = UINT32_MAX;
    spare_[place] = spare_.back();
    spare_.pop_back();
    if (place < spare_.size()) people_[spare_[place]].spare_at = place;
    return index;
  }

  // Whoever is spare is given the blocks that are wanted most, until all are there often enough.
  void Fill() {
    while (!spare_.empty()) {
      const auto least = std::ranges::min_element(wanted_);
      if (*least >= s_.replicas) return;
      uint32_t place = static_cast<uint32_t>(random_.Below(spare_.size()));
      for (int i = 1; s_.choice == Choice::kLongestHere && i < kLooks; ++i) {
        const auto other = static_cast<uint32_t>(random_.Below(spare_.size()));
        if (people_[spare_[other]].since < people_[spare_[place]].since) place = other;
      }
      const uint32_t index = TakeSpare(place);
      Person& person = people_[index];
      person.first = person.last = static_cast<uint16_t>(least - wanted_.begin());
      // On from there, as far as there is room and want.
      while (person.last < s_.blocks && person.last - person.first < person.room &&
             wanted_[person.last] < s_.replicas) {
        ++wanted_[person.last++];
      }
      ++holders_;
      const double gb = (person.last - person.first) * s_.block_gb;
      out_.loaded_tb += gb / 1000;
      Push(now_ + gb / person.gb_per_s, index, Kind::kLoaded);
    }
  }

  const Scenario s_;
  Random random_;
  std::vector<Person> people_;
  std::vector<uint32_t> wanted_;  // Of each block: who holds it or loads it ...
  std::vector<uint32_t> ready_;   // ... and who of them is ready.
  uint32_t missing_;              // Blocks that nobody has ready.
  std::vector<uint32_t> spare_;
  std::priority_queue<Event> events_;
  double now_ = 0;
  double up_s_ = 0;
  double holder_s_ = 0;
  double wasted_tb_ = 0;
  uint32_t holders_ = 0;
  Outcome out_;
};

}  // namespace

Outcome Run(const Scenario& scenario) {
  CHECK(scenario.people > 0 && scenario.blocks > 0 && scenario.blocks < UINT16_MAX);
  return World(scenario).Go();
}

}  // namespace shoal::availability
