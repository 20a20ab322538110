// The hidden states that crossed one cut of the model for one session, from its first position on:
// a replacement for the stage behind the cut is given them again and so rebuilds its KV without the
// rest of the route (after Petals' client-side cache).
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "wire/frames.h"

namespace shoal::swarm {

class KeptInputs {
 public:
  // Positions [0, rows()) are kept.
  uint32_t rows() const { return rows_; }
  size_t bytes() const { return bytes_.capacity(); }
  // Nothing is kept any more, and never will be: the room went to others.
  bool given_up() const { return given_up_; }

  // Rows [first, first + count) of `step`, whose first is at `position`. Kept when they continue
  // what is there.
  void Append(const wire::Step& step, size_t first, uint32_t count, uint32_t position);
  // Forgets positions from `rows` on.
  void Truncate(uint32_t rows);
  void GiveUp();
  // Adds the inputs at [from, to) to `step`'s payload; all of them must be kept.
  void AddTo(wire::Step& step, uint32_t from, uint32_t to) const;

 private:
  ByteVector bytes_;  // [rows, row_bytes]
  size_t row_bytes_ = 0;
  wire::PayloadType type_ = wire::PayloadType::kF32;
  uint32_t width_ = 0;
  uint32_t rows_ = 0;
  bool given_up_ = false;
};

}  // namespace shoal::swarm
