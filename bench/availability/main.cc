// availability_bench [SVG]: how available 126 blocks are while volunteers come and go, for several
// lengths of stay and numbers of replicas, and one day of 100,000 people at a time. Prints Markdown
// tables; writes the plot. docs/swarm.md has what came out.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <fstream>

#include "base/str_cat.h"
#include "churn_model.h"
#include "plot.h"

namespace shoal::availability {
namespace {

// The choice does not depend on how many stand by; a smaller pool gives the same table sooner.
constexpr uint32_t kTablePeople = 8'000;
constexpr uint32_t kDays = 8;

void PrintOutcome(const Scenario& s, const Outcome& out) {
  std::printf("| %.0f | %s | %u | %.3f %% | %llu | %.0f | %.0f | %.1f | %.0f %% |\n",
              s.stay_minutes, s.choice == Choice::kRandom ? "anybody" : "longest here", s.replicas,
              100 * out.available, static_cast<unsigned long long>(out.outages), out.outage_s,
              out.holders, out.loaded_tb / s.hours, 100 * out.wasted);
  std::fflush(stdout);
}

// Over several days; rare outages need many.
Outcome Mean(Scenario s) {
  Outcome mean;
  for (s.seed = 1; s.seed <= kDays; ++s.seed) {
    const Outcome day = Run(s);
    mean.available += day.available / kDays;
    mean.outage_s += day.outage_s * static_cast<double>(day.outages);
    mean.outages += day.outages;
    mean.loaded_tb += day.loaded_tb / kDays;
    mean.wasted += day.wasted / kDays;
    mean.holders += day.holders / kDays;
  }
  if (mean.outages > 0) mean.outage_s /= static_cast<double>(mean.outages);
  return mean;
}

void PrintTable(const char* svg) {
  std::printf(
      "| mean stay, min | who is chosen | replicas | whole model there | outages in 8 days | mean "
      "outage, s | holders | loaded, TB/h | of it wasted "
      "|\n|---|---|---|---|---|---|---|---|---|\n");
  const std::vector<uint32_t> replicas = {1, 2, 3, 4, 6, 8, 12};
  std::vector<Line> lines;
  for (const double stay : {10.0, 30.0, 120.0}) {
    for (const Choice choice : {Choice::kRandom, Choice::kLongestHere}) {
      Line& line = lines.emplace_back();
      line.name = StrCat(static_cast<int>(stay), " min, ",
                         choice == Choice::kRandom ? "anybody" : "longest here");
      for (const uint32_t count : replicas) {
        Scenario s{.people = kTablePeople, .stay_minutes = stay, .replicas = count};
        s.choice = choice;
        const Outcome out = Mean(s);
        line.y.push_back(1 - out.available);
        PrintOutcome(s, out);
      }
    }
  }
  if (svg == nullptr) return;
  std::ofstream(svg) << Plot("126 blocks, 1.6 GB each; mean stay and who is chosen", replicas,
                             lines);
}

void PrintDay() {
  const Scenario s{.replicas = 6, .choice = Choice::kLongestHere};
  const auto start = std::chrono::steady_clock::now();
  const Outcome out = Run(s);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "\n%u people, about half of them there at a time, 24 h: %llu joins, %llu leaves in %.1f s "
      "(%.1f s of CPU), %ld MB of memory; "
      "whole model there %.3f %% of the time, %llu outages\n",
      s.people, static_cast<unsigned long long>(out.joins),
      static_cast<unsigned long long>(out.leaves), took.count(),
      static_cast<double>(usage.ru_utime.tv_sec) +
          1e-6 * static_cast<double>(usage.ru_utime.tv_usec),
      usage.ru_maxrss / 1024, 100 * out.available, static_cast<unsigned long long>(out.outages));
}

}  // namespace
}  // namespace shoal::availability

int main(int argc, char** argv) {
  shoal::availability::PrintDay();
  shoal::availability::PrintTable(argc > 1 ? argv[1] : nullptr);
  return 0;
}
