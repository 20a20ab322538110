// Hostile manifests. The input is what follows the first line, so that the id does not stop it.
#include "base/check.h"
#include "base/str_cat.h"
#include "store/manifest.h"
#include "store/manifest_names.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoal;
  const Bytes body(data, size);
  const auto read =
      store::ParseManifest(StrCat(store::kManifestIdPrefix, store::Hex(store::HashBytes(body)),
                                  store::kManifestIdSuffix, AsText(body)));
  if (!read) return 0;
  CHECK(read->manifest.variants.front().blocks.size() == read->manifest.block_count());
  CHECK(store::ParseManifest(store::SerializeManifest(read->manifest)).has_value());
  return 0;
}
