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

  // What `span`'s assignment says, all but its generation and max_rows, with the pack's weights of
  // that index; `divided` are the layers within it whose experts are elsewhere. A device that runs
  // float16 gets the variant that computes in it where the model bears that.
  Result<wire::Assign> Prepare(planner::Span span, const std::vector<uint32_t>& divided,
                               size_t weights, bool runs_f16);
  // The same of experts, ascending slots.
  Result<wire::Assign> PrepareExperts(const std::vector<planner::ExpertSlot>& slots, size_t weights,
                                      bool runs_f16);

  // Of each block's weights, the bytes that are among these files.
  std::vector<uint64_t> CachedBytes(const std::vector<wire::Sha256>& files) const;

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
  store::StageVariant VariantFor(size_t weights, bool runs_f16) const;

  using Key = std::tuple<uint32_t, uint32_t, std::vector<uint32_t>, store::StageVariant>;
  std::map<Key, wire::Assign> prepared_;
  std::map<std::string, net::SharedBytes, std::less<>> generated_;  // By hex SHA-256.
};

}  // namespace shoal
