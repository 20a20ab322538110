// Rules of JSON numbers between two bounds: decimal texts, compared digit by digit.
#pragma once

#include <limits>

#include "base/result.h"
#include "coordinator/grammar/grammar.h"

namespace shoal::grammar {

// Both bounds belong to what is allowed, unless they are said to be exclusive.
struct Bounds {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool excludes_least = false;
  bool excludes_most = false;
};

// The whole numbers within `bounds`, of at most 15 digits, "-0" apart. kInvalidArgument where there
// is none.
Result<Grammar::Rule> WholeWithin(const Bounds& bounds, Grammar& grammar);

// The numbers within `bounds` that have at most 12 digits before the point and 6 behind it, without
// an exponent, "-0" apart. kInvalidArgument where there is none.
Result<Grammar::Rule> NumberWithin(const Bounds& bounds, Grammar& grammar);

}  // namespace shoal::grammar
