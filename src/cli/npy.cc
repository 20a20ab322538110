#include "cli/npy.h"

#include <string>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::cli {

ByteVector SerializeNpy(std::span<const float> values, uint64_t rows, uint64_t columns) {
  CHECK(values.size() == rows * columns);
  constexpr size_t kPreamble = 10;  // Magic, version, header length.
  constexpr size_t kAlignment = 64;
  std::string header =
      StrCat("{'descr': '<f4', 'fortran_order': False, 'shape': (", rows, ", ", columns, "), }");
  const size_t unpadded = kPreamble + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  ByteVector out;
  ByteWriter writer(out);
  writer.WriteBytes(AsBytes(std::string_view("\x93NUMPY\x01\x00", 8)));
  writer.Write(static_cast<uint16_t>(header.size()));
  writer.WriteBytes(AsBytes(header));
  writer.WriteBytes({reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
  return out;
}

}  // namespace shoal::cli
