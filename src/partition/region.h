// The nodes of one layer's attention in a graph where it is spelled out.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "partition/reading.h"

namespace shoal::partition {

// How the heads lie in a value of a query, key or value: [batch, sequence, heads * size]
// or [batch, sequence, heads, size].
enum class HeadLayout : uint8_t { kFlat, kSplit };

struct HeadValue {
  std::string name;
  HeadLayout layout = HeadLayout::kFlat;
};

struct Region {
  LayerCache cache;
  int64_t heads = 0;
  // Where query, key and value flow in beside the caches: [batch, heads, sequence, size].
  std::string query;
  std::string key;
  std::string value;
  // The same before what only turns and moves it, the earliest first.
  std::vector<HeadValue> query_sources;
  std::vector<HeadValue> key_sources;
  std::vector<HeadValue> value_sources;
  // What comes out.
  HeadValue out;
  // Control values with a column for every position, which masks are.
  std::vector<std::string> masks;
};

// `cache`: which of its names are key and value may be the wrong way round. kUnimplemented with
// the reason when the nodes around it are not attention.
Result<Region> FindRegion(const Reading& reading, LayerCache cache);

}  // namespace shoal::partition
