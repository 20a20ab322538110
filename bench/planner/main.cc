// planner_bench [gains|speed]: prints tables in Markdown; docs/planner.md holds them.
#include <cstdio>
#include <string_view>

#include "bench.h"

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (argc > 2 || (!what.empty() && what != "gains" && what != "speed")) {
    std::fprintf(stderr, "usage: planner_bench [gains|speed]\n");
    return 2;
  }
  if (what != "speed") shoal::planner::MeasureGains();
  if (what != "gains") shoal::planner::MeasureSpeed();
  return 0;
}
