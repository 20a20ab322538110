// The shapes of a stage's values before it is known how many rows a run has.
//
// A graph says [batch, sequence, ...]; the engine runs it as one batch entry whose sequence is the
// rows of the call, of whatever sessions: all operators but attention treat rows one by one, and
// attention takes each row's past from its own session.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace shoal::engine {

inline constexpr size_t kShapeRankMax = 6;

// What a dim grows with.
enum class Unit : uint8_t { kOne, kRows, kSelected };

// How many there are of them in one run.
struct RunCounts {
  size_t rows = 0;
  size_t selected = 0;  // Rows whose logits are wanted.

  size_t Of(Unit unit) const {
    return unit == Unit::kRows ? rows : unit == Unit::kSelected ? selected : 1;
  }
};

// factor * unit; the factor is at least 1.
struct Extent {
  uint64_t factor = 1;
  Unit unit = Unit::kOne;

  bool IsFixed() const { return unit == Unit::kOne; }
  size_t In(const RunCounts& counts) const { return factor * counts.Of(unit); }
  bool operator==(const Extent&) const = default;
};

using Shape = std::vector<Extent>;
// Dims of one run; the first Shape::size() count.
using Dims = std::array<size_t, kShapeRankMax>;

// Product of all dims; nothing if two of them grow or the factor passes 2^40.
std::optional<Extent> ElementCount(std::span<const Extent> shape);
Dims DimsIn(const Shape& shape, const RunCounts& counts);
// "[1, rows, 64]"
std::string ToString(const Shape& shape);

}  // namespace shoal::engine
