#include "packer/shapes.h"

#include <algorithm>

#include "base/str_cat.h"
#include "model/checkpoint.h"
#include "model/file.h"
#include "model/weights.h"
#include "packer/layout.h"

namespace shoal::packer {

namespace {

constexpr uint64_t kKvBytes = 4;  // Of a cached value.

uint64_t KvBytesPerPosition(const model::Architecture& arch, uint32_t block) {
  return model::CostsOf(arch, block).kv_values_per_token * kKvBytes;
}

std::string InBillions(uint64_t params) {
  const uint64_t hundredths = (params + 5'000'000) / 10'000'000;
  return StrCat(hundredths / 100, ".", hundredths % 100 < 10 ? "0" : "", hundredths % 100, " B");
}

// What blocks of the same size have in common.
struct BlockKindLine {
  uint32_t first = 0;
  uint32_t last = 0;
  uint64_t own = 0;  // Bytes.
  uint32_t groups = 0;
  uint64_t group = 0;  // Bytes of each.
  uint64_t kv = 0;     // Bytes per position.

  bool SameAs(const BlockKindLine& other) const {
    return own == other.own && groups == other.groups && group == other.group && kv == other.kv;
  }
};

std::vector<BlockKindLine> BlockLines(const model::Architecture& arch,
                                      const std::vector<ShapePiece>& pieces) {
  std::vector<BlockKindLine> lines;
  for (uint32_t block = 0; block < arch.block_count(); ++block) {
    BlockKindLine line{block, block, 0, 0, 0, KvBytesPerPosition(arch, block)};
    for (const ShapePiece& piece : pieces) {
      if (piece.block != block) continue;
      if (piece.experts) {
        ++line.groups;
        line.group = piece.bytes;
      } else {
        line.own += piece.bytes;
      }
    }
    const bool joins = !lines.empty() && arch.IsLayer(block) && arch.IsLayer(block - 1) &&
                       lines.back().SameAs(line);
    if (joins) {
      lines.back().last = block;
    } else {
      lines.push_back(line);
    }
  }
  return lines;
}

}  // namespace

Result<model::Architecture> ReadShapes(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const std::string config,
                   model::ReadFile(folder / "config.json", model::kMaxConfigBytes));
  return model::ParseArchitecture(config);
}

std::vector<ShapePiece> ShapePieces(const model::Architecture& arch, const Recipe& recipe) {
  std::vector<std::vector<ShapePiece>> by_block(arch.block_count());
  for (const LaidOutBlob& blob : LayOut(arch, recipe)) {
    const bool experts = blob.weights.front().spec.expert_group.has_value();
    for (const uint32_t block : blob.blocks) {
      by_block[block].push_back({block, experts, blob.bytes});
    }
  }
  std::vector<ShapePiece> pieces;
  for (const std::vector<ShapePiece>& of_block : by_block) {
    pieces.insert(pieces.end(), of_block.begin(), of_block.end());
  }
  return pieces;
}

store::Manifest ShapesManifest(const model::Architecture& arch, const Recipe& recipe,
                               std::string name) {
  store::Manifest manifest;
  manifest.name = std::move(name);
  manifest.model = FactsOf(arch);
  manifest.ropes = arch.ropes;
  store::Variant variant{std::string(recipe.name()), "f32", {}};
  for (uint32_t index = 0; index < arch.block_count(); ++index) {
    variant.blocks.push_back(BlockFacts(arch, index));
  }
  for (const ShapePiece& piece : ShapePieces(arch, recipe)) {
    variant.blocks[piece.block].weight_bytes += piece.bytes;
  }
  manifest.variants.push_back(std::move(variant));
  return manifest;
}

uint64_t TabsNeeded(const model::Architecture& arch, const Recipe& recipe, const TabRoom& room) {
  uint64_t tabs = 1;
  uint64_t weights = 0;  // In the tab that is being filled.
  uint64_t kv = 0;
  const auto fits = [&] {
    return weights * room.weight_percent / 100 + kv + room.overhead_bytes <= room.bytes;
  };
  for (const ShapePiece& piece : ShapePieces(arch, recipe)) {
    const uint64_t own_kv =
        piece.experts ? 0 : KvBytesPerPosition(arch, piece.block) * room.positions;
    weights += piece.bytes;
    kv += own_kv;
    if (fits()) continue;
    ++tabs;
    weights = piece.bytes;
    kv = own_kv;
    if (!fits()) return 0;
  }
  return tabs;
}

std::string DescribeShapes(const model::Architecture& arch, const Recipe& recipe,
                           std::string_view name, TabRoom room) {
  const std::vector<ShapePiece> pieces = ShapePieces(arch, recipe);
  const uint64_t params = model::TotalParams(arch);
  uint64_t total = 0;
  uint64_t largest = 0;
  for (const ShapePiece& piece : pieces) {
    total += piece.bytes;
    largest = std::max(largest, piece.bytes);
  }
  std::string text =
      StrCat(name, " (", arch.family, "): ", InBillions(params), " parameters (", params, "), ",
             arch.block_count(), " blocks, ", FormatSize(total), " in ", recipe.name(), "\n");
  uint64_t kv = 0;
  for (const BlockKindLine& line : BlockLines(arch, pieces)) {
    text += line.first == line.last ? StrCat("block ", line.first, ": ")
                                    : StrCat("blocks ", line.first, " to ", line.last, ": ");
    text += FormatSize(line.own);
    if (line.groups != 0) {
      text += StrCat(" and ", line.groups, " groups of ", arch.mixture->experts_per_group(),
                     " experts of ", FormatSize(line.group));
    }
    if (line.first != line.last) text += " each";
    if (line.kv != 0) text += StrCat("; KV ", line.kv, " bytes a token");
    text += "\n";
    kv += line.kv * (line.last - line.first + 1);
  }
  text += StrCat("KV of all layers: ", kv, " bytes a token and session\n");
  text += StrCat("over a link between stages: ", uint64_t{arch.hidden} * 4, " bytes a token, ",
                 uint64_t{arch.hidden} * 2, " in f16\n");
  text += StrCat("largest part that cannot be divided: ", FormatSize(largest), "\n");
  for (const uint64_t gb : {2, 4, 8}) {
    room.bytes = gb << 30;
    const uint64_t tabs = TabsNeeded(arch, recipe, room);
    text += StrCat("tabs of ", gb, " GiB, with the KV of one session of ", room.positions,
                   " tokens: ", tabs == 0 ? "none, since a part does not fit" : StrCat(tabs), "\n");
  }
  return text;
}

}  // namespace shoal::packer
