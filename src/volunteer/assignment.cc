#include "volunteer/assignment.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "store/sha256.h"

namespace shoal::volunteer {

namespace {

// A joined graph is names and shapes; weights are external.
constexpr uint64_t kGraphBytesMax = 64u << 20;
constexpr uint32_t kBlocksMax = 4096;
constexpr uint32_t kWidthMax = 1 << 20;
constexpr uint32_t kVocabMax = 1 << 24;
constexpr uint32_t kPositionsMax = 1 << 24;
constexpr size_t kFilesMax = 1 << 16;
constexpr uint32_t kExpertsMax = 65536;
constexpr uint64_t kRoutesMax = 16u << 20;  // Of a step, in all.
constexpr uint32_t kHeadsMax = 4096;
constexpr uint32_t kHeadSizeMax = 65536;
// Below the codec's 64 MiB a frame, with room for rows and sampling.
constexpr uint64_t kHopBytesMax = 48u << 20;

Status Ensure(bool holds, std::string_view detail) {
  if (holds) return {};
  return Fail(Code::kInvalidArgument, StrCat("assignment: ", detail));
}

bool Within(uint64_t value, uint64_t max) { return value >= 1 && value <= max; }

Status CheckFile(const wire::StageFile& file) {
  const auto sha = store::ParseSha256(file.location);
  RETURN_IF_ERROR(Ensure(sha.has_value(), StrCat("file location \"", file.location, "\"")));
  const bool stays = file.path.starts_with('/') && !file.path.starts_with("//") &&
                     file.path.find_first_of("?#\\") == std::string::npos &&
                     file.path.find("/../") == std::string::npos;
  RETURN_IF_ERROR(Ensure(stays, StrCat("file path \"", file.path, "\"")));
  RETURN_IF_ERROR(Ensure(file.bytes >= 1, StrCat("file ", file.location, " is empty")));
  const uint64_t chunks =
      file.bytes / store::kChunkBytes + (file.bytes % store::kChunkBytes != 0 ? 1 : 0);
  RETURN_IF_ERROR(Ensure(file.chunks.size() == chunks,
                         StrCat("file ", file.location, " of ", file.bytes, " bytes has ",
                                file.chunks.size(), " chunk hashes")));
  return Ensure(chunks > 1 || file.chunks[0] == *sha,
                StrCat("file ", file.location, " is one chunk whose hash is another"));
}

Status CheckShape(const wire::Assign& assign) {
  RETURN_IF_ERROR(Ensure(assign.first <= assign.last && assign.last - assign.first <= kBlocksMax &&
                             HoldsStage(assign) == assign.experts.empty(),
                         StrCat("blocks [", assign.first, ", ", assign.last, ")")));
  RETURN_IF_ERROR(Ensure(Within(assign.hidden, kWidthMax), StrCat("hidden width ", assign.hidden)));
  RETURN_IF_ERROR(Ensure(Within(assign.vocab, kVocabMax), StrCat("vocabulary ", assign.vocab)));
  RETURN_IF_ERROR(
      Ensure(Within(assign.positions, kPositionsMax), StrCat(assign.positions, " positions")));
  RETURN_IF_ERROR(
      Ensure(Within(assign.max_rows, assign.positions), StrCat(assign.max_rows, " rows a step")));
  return Ensure(uint64_t{assign.max_rows} * assign.hidden * sizeof(float) <= kHopBytesMax,
                StrCat(assign.max_rows, " rows of ", assign.hidden, " do not fit a frame"));
}

Status CheckKv(const wire::Assign& assign) {
  std::set<uint32_t> blocks;
  for (const wire::KvSlot& slot : assign.kv) {
    const bool is_here = slot.block >= assign.first && slot.block < assign.last;
    RETURN_IF_ERROR(
        Ensure(is_here && blocks.insert(slot.block).second, StrCat("KV of block ", slot.block)));
    RETURN_IF_ERROR(Ensure(Within(slot.heads, kHeadsMax) && Within(slot.head_size, kHeadSizeMax),
                           StrCat("KV shape ", slot.heads, " x ", slot.head_size)));
  }
  return {};
}

// The codec has seen to their order.
Status CheckParts(const wire::Assign& assign) {
  RETURN_IF_ERROR(Ensure(assign.parts.size() <= kBlocksMax && assign.experts.size() <= kBlocksMax,
                         "too many parts"));
  const auto fits = [&](uint32_t experts) {
    return Within(experts, kExpertsMax) && uint64_t{assign.max_rows} * experts <= kRoutesMax;
  };
  for (const wire::StagePart& part : assign.parts) {
    RETURN_IF_ERROR(Ensure(fits(part.experts), StrCat(part.experts, " experts of a layer")));
  }
  for (const wire::ExpertPart& part : assign.experts) {
    RETURN_IF_ERROR(Ensure(fits(part.experts), StrCat(part.experts, " experts of a layer")));
  }
  return {};
}

}  // namespace

uint64_t FileBytes(const wire::Assign& assign) {
  uint64_t sum = 0;
  const auto add = [&sum](const wire::StageFile& file) {
    sum = file.bytes > UINT64_MAX - sum ? UINT64_MAX : sum + file.bytes;
  };
  for (const wire::StageFile& file : GraphsOf(assign)) add(file);
  for (const wire::StageFile& file : assign.weights) add(file);
  return sum;
}

std::vector<wire::StageFile> GraphsOf(const wire::Assign& assign) {
  std::vector<wire::StageFile> graphs;
  if (HoldsStage(assign)) graphs.push_back(assign.graph);
  for (const wire::StagePart& part : assign.parts) graphs.push_back(part.graph);
  for (const wire::ExpertPart& part : assign.experts) graphs.push_back(part.graph);
  return graphs;
}

uint64_t KvBytesPerPosition(const wire::Assign& assign) {
  uint64_t bytes = 0;
  for (const wire::KvSlot& slot : assign.kv) {
    bytes += uint64_t{slot.heads} * slot.head_size * 2 * sizeof(float);
  }
  return bytes;
}

Status CheckAssign(const wire::Assign& assign, uint64_t memory_bytes) {
  if (HoldsNothing(assign)) return {};
  RETURN_IF_ERROR(CheckShape(assign));
  RETURN_IF_ERROR(CheckParts(assign));
  std::set<std::string> locations;
  for (const wire::StageFile& graph : GraphsOf(assign)) {
    RETURN_IF_ERROR(CheckFile(graph));
    RETURN_IF_ERROR(
        Ensure(graph.bytes <= kGraphBytesMax, StrCat("a graph of ", graph.bytes, " bytes")));
    RETURN_IF_ERROR(Ensure(locations.insert(graph.location).second, "a graph is named twice"));
  }
  RETURN_IF_ERROR(
      Ensure(assign.weights.size() <= kFilesMax, StrCat(assign.weights.size(), " weight files")));
  for (const wire::StageFile& file : assign.weights) {
    RETURN_IF_ERROR(CheckFile(file));
    RETURN_IF_ERROR(Ensure(locations.insert(file.location).second, "a weight file is named twice"));
  }
  RETURN_IF_ERROR(CheckKv(assign));
  if (const uint64_t needed = FileBytes(assign); needed > memory_bytes) {
    return Fail(Code::kResourceExhausted,
                StrCat(HoldsStage(assign) ? StrCat("blocks [", assign.first, ", ", assign.last, ")")
                                          : std::string("experts"),
                       " need ", needed, " bytes, ", memory_bytes, " are lent"));
  }
  return {};
}

}  // namespace shoal::volunteer
