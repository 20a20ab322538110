// A model file made small enough to be read whole: what `onnx::Parse` gets of a file of any size.
//
// - The bytes of large initialisers become external data: ranges of the file itself.
// - A top-level If whose condition is a graph input (optimum merges a decoder without and one with
//   a past like that) is replaced by one of its branches: the one that reads more of the graph's
//   inputs, which is the one that reads the caches.
// - Descriptions of intermediate values, which Shoal does not need, are left out.
//
// Everything else is copied as it is. The file is hostile: malformed bytes are refused here or by
// Parse; memory stays below what is copied.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace shoal::partition {

// Initialisers of at least that many bytes become external.
inline constexpr size_t kLargeBytes = 1024;

// `location`: what external ranges of the file itself are called.
Result<ByteVector> Slim(Bytes file, std::string_view location);

}  // namespace shoal::partition
