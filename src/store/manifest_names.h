// Spellings that the manifest's reader and writer share.
#pragma once

#include <cstdint>
#include <string_view>

#include "store/manifest.h"

namespace shoal::store {

inline constexpr const char* kManifestFormat = "shoal-pack";
inline constexpr uint32_t kManifestVersion = 1;

// The file's first line, around the id.
inline constexpr std::string_view kManifestIdPrefix = "{\"id\": \"";
inline constexpr std::string_view kManifestIdSuffix = "\",\n";

constexpr std::string_view BlockKindName(BlockKind kind) {
  switch (kind) {
    case BlockKind::kEmbedding:
      return "embedding";
    case BlockKind::kLayer:
      return "layer";
    case BlockKind::kHead:
      return "head";
  }
  return "";
}

}  // namespace shoal::store
