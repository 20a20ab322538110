// The stages that volunteers hold, as files to fetch: joined graphs, rotary tables and the pack's
// blobs, each under /blobs/<sha256>. Stages are joined when they are first asked for and kept.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "net/http.h"
#include "planner/experts.h"
#include "planner/plan.h"
#include "store/pack.h"
#include "store/stage_graph.h"
#include "wire/frames.h"

namespace shoal {

class StageLibrary {
 public:
  // Serves contexts of up to `positions`. `pack` must outlive the library.
  StageLibrary(const store::Pack& pack, uint32_t positions);

  // What `span`'s assignment says, all but its generation and max_rows; `divided` are the layers
  // within it whose experts are elsewhere. What has no form in float16 comes in float32.
  Result<wire::Assign> Prepare(planner::Span span, const std::vector<uint32_t>& divided,
                               const store::StageVariant& variant);
  // The same of experts, ascending slots.
  Result<wire::Assign> PrepareExperts(const std::vector<planner::ExpertSlot>& slots,
                                      const store::StageVariant& variant);

  // Of each block's weights in the pack's set of that index, the bytes that are among these files.
  std::vector<uint64_t> CachedBytes(const std::vector<wire::Sha256>& files, size_t weights) const;

  // Answers GET and HEAD of "/blobs/<sha256>": ranges, ETag, immutable.
  void Answer(const net::Request& request, net::Responder responder);

 private:
  struct Generated {
    net::SharedBytes bytes;
  };
  wire::StageFile Describe(const store::Blob& blob) const;
  wire::StageFile Keep(ByteVector bytes);

  const store::Pack& pack_;
  const uint32_t positions_;
  Result<wire::ExpertPart> PreparePart(uint32_t block, const std::vector<uint32_t>& groups,
                                       const store::StageVariant& variant, wire::Assign& assign);
  wire::Assign Outline() const;

  using Key = std::tuple<uint32_t, uint32_t, std::vector<uint32_t>, store::StageVariant>;
  std::map<Key, wire::Assign> prepared_;
  std::map<std::string, net::SharedBytes, std::less<>> generated_;  // By hex SHA-256.
};

}  // namespace shoal
