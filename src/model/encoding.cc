#include "model/encoding.h"

#include <algorithm>

namespace shoal::model {

void CodedEncoding::Read(uint64_t first, std::span<float> out) const {
  std::vector<uint8_t> codes(columns());
  std::vector<float> scales(groups_per_row());
  std::vector<uint8_t> zeros(groups_per_row());
  for (size_t done = 0; done < out.size();) {
    const uint64_t row = (first + done) / columns();
    const uint64_t begin = (first + done) % columns();
    const uint64_t end = std::min<uint64_t>(columns(), begin + (out.size() - done));
    ReadCodes(row, codes);
    ReadScales(row, scales, zeros);
    for (uint64_t column = begin; column < end; ++column) {
      const uint64_t in_group = column / group();
      out[done++] =
          scales[in_group] * static_cast<float>(static_cast<int>(codes[column]) - zeros[in_group]);
    }
  }
}

}  // namespace shoal::model
