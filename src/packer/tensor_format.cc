#include "packer/tensor_format.h"

namespace shoal::packer {

uint64_t StoredPart::bytes() const {
  uint64_t count = DTypeBytes(type);
  for (const int64_t dim : dims) count *= static_cast<uint64_t>(dim);
  return count;
}

}  // namespace shoal::packer
