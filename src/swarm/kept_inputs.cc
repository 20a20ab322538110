#include "swarm/kept_inputs.h"

#include "base/check.h"

namespace shoal::swarm {

void KeptInputs::Append(const wire::Step& step, size_t first, uint32_t count, uint32_t position) {
  if (given_up_ || position != rows_) return;
  if (rows_ == 0) {
    type_ = step.type;
    width_ = step.width;
    row_bytes_ = size_t{width_} * (type_ == wire::PayloadType::kF16 ? 2 : 4);
  }
  if (step.type != type_ || step.width != width_) return;
  CHECK((first + count) * row_bytes_ <= step.payload.size());
  const auto from = step.payload.begin() + static_cast<std::ptrdiff_t>(first * row_bytes_);
  bytes_.insert(bytes_.end(), from, from + static_cast<std::ptrdiff_t>(count * row_bytes_));
  rows_ += count;
}

void KeptInputs::Truncate(uint32_t rows) {
  if (rows >= rows_) return;
  rows_ = rows;
  bytes_.resize(rows * row_bytes_);
}

void KeptInputs::GiveUp() {
  given_up_ = true;
  rows_ = 0;
  ByteVector().swap(bytes_);
}

void KeptInputs::AddTo(wire::Step& step, uint32_t from, uint32_t to) const {
  CHECK(from < to && to <= rows_);
  step.type = type_;
  step.width = width_;
  const auto at = [&](uint32_t row) {
    return bytes_.begin() + static_cast<std::ptrdiff_t>(row * row_bytes_);
  };
  step.payload.insert(step.payload.end(), at(from), at(to));
}

}  // namespace shoal::swarm
