// A plot of lines over a shared axis, as SVG.
#pragma once

#include <string>
#include <vector>

namespace shoal::availability {

struct Line {
  std::string name;
  std::vector<double> y;  // One for each x.
};

// Unavailability on a logarithmic axis, from 1 down to 1e-5, over the numbers of replicas.
std::string Plot(const std::string& title, const std::vector<uint32_t>& x,
                 const std::vector<Line>& lines);

}  // namespace shoal::availability
