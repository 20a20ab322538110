#include "coordinator/hub/stage_library.h"

#include <algorithm>
#include <set>

#include "base/str_cat.h"
#include "net/file.h"
#include "net/static_site.h"
#include "store/blob_writer.h"
#include "store/expert_graphs.h"

namespace shoal {

namespace {

constexpr std::string_view kBlobPrefix = "/blobs/";
constexpr const char* kImmutable = "public, max-age=31536000, immutable";

net::Response ErrorResponse(int status, std::string text) {
  net::Response response = net::TextResponse(status, std::move(text));
  net::AddIsolationHeaders(response.headers);
  return response;
}

// A range of bytes in memory, as FileResponse does it for files.
net::Response MemoryResponse(const net::Request& request, const net::SharedBytes& bytes,
                             std::string_view etag) {
  net::Response response;
  net::AddIsolationHeaders(response.headers);
  response.headers.Set("ETag", std::string(etag));
  response.headers.Set("Cache-Control", kImmutable);
  response.headers.Set("Accept-Ranges", "bytes");
  response.headers.Set("Content-Type", "application/octet-stream");
  if (request.headers.Get("If-None-Match") == etag) {
    response.status = 304;
    return response;
  }
  const net::ByteRange range = net::ParseRange(request.headers.Get("Range"), bytes->size());
  switch (range.kind) {
    case net::ByteRange::Kind::kWhole:
      response.body = bytes;
      break;
    case net::ByteRange::Kind::kPart:
      response.status = 206;
      response.headers.Set(
          "Content-Range",
          StrCat("bytes ", range.offset, "-", range.offset + range.length - 1, "/", bytes->size()));
      response.body = std::make_shared<const ByteVector>(
          bytes->begin() + static_cast<std::ptrdiff_t>(range.offset),
          bytes->begin() + static_cast<std::ptrdiff_t>(range.offset + range.length));
      break;
    case net::ByteRange::Kind::kUnsatisfiable:
      response.status = 416;
      response.headers.Set("Content-Range", StrCat("bytes */", bytes->size()));
      break;
  }
  return response;
}

}  // namespace

StageLibrary::StageLibrary(const store::Pack& pack, uint32_t positions)
    : pack_(pack), positions_(positions) {}

wire::StageFile StageLibrary::Describe(const store::Blob& blob) const {
  const std::string name = store::Hex(blob.sha);
  return {.location = name,
          .path = StrCat(kBlobPrefix, name),
          .bytes = blob.bytes,
          .chunks = blob.chunks};
}

wire::StageFile StageLibrary::Keep(ByteVector bytes) {
  const store::Blob blob = store::HashBlob(bytes);
  generated_.try_emplace(store::Hex(blob.sha),
                         std::make_shared<const ByteVector>(std::move(bytes)));
  return Describe(blob);
}

wire::Assign StageLibrary::Outline() const {
  const store::ModelFacts& model = pack_.manifest().model;
  return {.hidden = model.hidden, .vocab = model.vocab, .positions = positions_};
}

Result<wire::Assign> StageLibrary::Prepare(planner::Span span, const std::vector<uint32_t>& divided,
                                           const store::StageVariant& variant) {
  const Key key(span.first, span.last, divided, variant);
  if (const auto at = prepared_.find(key); at != prepared_.end()) return at->second;
  Result<store::StageGraph> joined =
      store::JoinStage(pack_, span.first, span.last, positions_, variant, divided);
  if (!joined && joined.error().code == Code::kUnimplemented &&
      variant.activations != store::Activations::kF32) {
    return Prepare(span, divided, {.weights = variant.weights});
  }
  ASSIGN_OR_RETURN(store::StageGraph stage, std::move(joined));
  wire::Assign assign = Outline();
  assign.first = span.first;
  assign.last = span.last;
  assign.graph = Keep(std::move(stage.onnx));
  for (store::StagePart& part : stage.more) {
    assign.parts.push_back({.block = part.block,
                            .experts = part.experts,
                            .takes_routed = part.takes_routed,
                            .graph = Keep(std::move(part.onnx))});
  }
  for (const store::Blob& blob : stage.weights) assign.weights.push_back(Describe(blob));
  for (store::GeneratedBlob& blob : stage.generated) {
    assign.weights.push_back(Keep(std::move(blob.bytes)));
  }
  for (const store::KvSlot& slot : stage.kv) {
    assign.kv.push_back({.block = slot.block, .heads = slot.heads, .head_size = slot.head_size});
  }
  return prepared_.emplace(key, std::move(assign)).first->second;
}

// One layer's experts; their weights join those of the assignment.
Result<wire::ExpertPart> StageLibrary::PreparePart(uint32_t block,
                                                   const std::vector<uint32_t>& groups,
                                                   const store::StageVariant& variant,
                                                   wire::Assign& assign) {
  Result<store::ExpertsGraph> joined = store::JoinExperts(pack_, block, groups, variant);
  if (!joined && joined.error().code == Code::kUnimplemented &&
      variant.activations != store::Activations::kF32) {
    return PreparePart(block, groups, {.weights = variant.weights}, assign);
  }
  ASSIGN_OR_RETURN(store::ExpertsGraph made, std::move(joined));
  const store::MixtureParts& mixture =
      *pack_.manifest().variants[variant.weights].blocks[block].mixture;
  wire::ExpertPart part{.block = block, .experts = store::ExpertCount(mixture)};
  for (const uint32_t group : groups) {
    part.groups.push_back({group, mixture.groups[group].first, mixture.groups[group].count});
  }
  part.graph = Keep(std::move(made.onnx));
  for (const store::Blob& blob : made.weights) {
    wire::StageFile file = Describe(blob);
    const bool is_named = std::ranges::any_of(assign.weights, [&](const wire::StageFile& known) {
      return known.location == file.location;
    });
    if (!is_named) assign.weights.push_back(std::move(file));
  }
  return part;
}

Result<wire::Assign> StageLibrary::PrepareExperts(const std::vector<planner::ExpertSlot>& slots,
                                                  const store::StageVariant& variant) {
  wire::Assign assign = Outline();
  for (size_t at = 0; at < slots.size();) {
    const uint32_t block = slots[at].block;
    std::vector<uint32_t> groups;
    for (; at < slots.size() && slots[at].block == block; ++at) groups.push_back(slots[at].group);
    ASSIGN_OR_RETURN(wire::ExpertPart part, PreparePart(block, groups, variant, assign));
    assign.experts.push_back(std::move(part));
  }
  return assign;
}

std::vector<uint64_t> StageLibrary::CachedBytes(const std::vector<wire::Sha256>& files,
                                                size_t weights) const {
  const std::set<wire::Sha256> cached(files.begin(), files.end());
  std::vector<uint64_t> bytes;
  for (const store::Block& block : pack_.manifest().variants[weights].blocks) {
    uint64_t& sum = bytes.emplace_back(0);
    for (const store::Sha256& sha : block.weights) {
      const store::Blob* blob = cached.contains(sha) ? pack_.FindBlob(sha) : nullptr;
      if (blob != nullptr) sum += blob->bytes;
    }
    sum = std::min(sum, block.weight_bytes);
  }
  return bytes;
}

void StageLibrary::Answer(const net::Request& request, net::Responder responder) {
  if (request.method != "GET" && request.method != "HEAD") {
    return responder.Send(ErrorResponse(405, "Blobs can be read only.\n"));
  }
  const std::string_view name = std::string_view(request.path).substr(kBlobPrefix.size());
  const std::string etag = StrCat("\"", name, "\"");
  if (const auto at = generated_.find(name); at != generated_.end()) {
    return responder.Send(MemoryResponse(request, at->second, etag));
  }
  const Result<store::Sha256> sha = store::ParseSha256(name);
  if (!sha || pack_.FindBlob(*sha) == nullptr) {
    return responder.Send(ErrorResponse(404, "There is no such blob.\n"));
  }
  auto file = net::OpenFile::Open(store::BlobPath(pack_.folder(), *sha));
  if (!file) return responder.Send(ErrorResponse(500, "The blob cannot be read.\n"));
  net::FileOptions options{.etag = etag, .cache_control = kImmutable};
  net::AddIsolationHeaders(options.headers);
  responder.Send(net::FileResponse(request, *std::move(file), options));
}

}  // namespace shoal
