// What a pack would be, from a config.json alone: sizes and costs of full-size models without their
// weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/architecture.h"
#include "packer/recipe.h"
#include "store/manifest.h"

namespace shoal::packer {

// Reads the folder's config.json; nothing else need be there.
Result<model::Architecture> ReadShapes(const std::filesystem::path& folder);

// The manifest of the pack in that format, as far as it is known without weights: model facts and
// blocks with their costs and bytes, but neither graphs nor blobs nor files.
store::Manifest ShapesManifest(const model::Architecture& arch, const Recipe& recipe,
                               std::string name);

// The weights that one device must hold whole: a block's own, or a group of its experts.
struct ShapePiece {
  uint32_t block = 0;
  bool experts = false;
  uint64_t bytes = 0;
};
std::vector<ShapePiece> ShapePieces(const model::Architecture& arch, const Recipe& recipe);

struct TabRoom {
  uint64_t bytes = 0;             // Of the tab.
  uint32_t positions = 0;         // Of one session, whose KV is held for each layer.
  uint64_t overhead_bytes = 0;    // Of the executor itself.
  uint32_t weight_percent = 100;  // Memory for weights, relative to their bytes.
};
// How many such tabs hold all pieces in their order, none of which is divided. 0 if a piece does
// not fit.
uint64_t TabsNeeded(const model::Architecture& arch, const Recipe& recipe, const TabRoom& room);

// All of this as text for people, a line per kind of block. Of `room` the bytes do not count: tabs
// of several sizes are told of.
std::string DescribeShapes(const model::Architecture& arch, const Recipe& recipe,
                           std::string_view name, TabRoom room);

}  // namespace shoal::packer
