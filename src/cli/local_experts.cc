#include "cli/local_experts.h"

#include "base/check.h"
#include "base/str_cat.h"
#include "onnx/read.h"
#include "store/expert_graphs.h"
#include "volunteer/expert_runner.h"
#include "wire/codec.h"

namespace shoal::cli {

namespace {

constexpr NodeId kRouter{1};
constexpr uint32_t kFirstHolder = 2;
constexpr uint32_t kGeneration = 1;

// The body as it arrives.
template <typename BodyType>
Result<BodyType> ThroughCodec(NodeId to, NodeId from, BodyType body) {
  const wire::Frame frame{to, from, std::move(body)};
  RETURN_IF_ERROR(wire::Validate(frame));
  ASSIGN_OR_RETURN(wire::Frame arrived, wire::Decode(wire::Encode(frame)));
  return std::get<BodyType>(std::move(arrived.body));
}

}  // namespace

Result<LocalExperts> LocalExperts::Load(const store::Pack& pack, const ExpertOptions& options) {
  const uint32_t holders = options.holders;
  CHECK(holders > 0);
  LocalExperts experts;
  experts.table_ = {.generation = kGeneration, .hop = options.hop};
  experts.sent_.resize(holders);
  for (const store::Block& block : pack.manifest().variants[options.weights].blocks) {
    if (!block.mixture) continue;
    if (block.mixture->groups.size() < holders) {
      return Fail(Code::kInvalidArgument,
                  StrCat("block ", block.index, " has ", block.mixture->groups.size(),
                         " groups of experts, too few for ", holders, " holders"));
    }
    RETURN_IF_ERROR(experts.LoadLayer(pack, block.index, options));
  }
  if (experts.layers_.empty()) return Fail(Code::kInvalidArgument, "the model has no experts");
  return experts;
}

Status LocalExperts::LoadLayer(const store::Pack& pack, uint32_t block,
                               const ExpertOptions& options) {
  const uint32_t holders = options.holders;
  const store::Manifest& manifest = pack.manifest();
  const store::MixtureParts& mixture = *manifest.variants[options.weights].blocks[block].mixture;
  const uint32_t count = store::ExpertCount(mixture);
  experts_[block] = count;
  for (uint32_t g = 0; g < mixture.groups.size(); ++g) {
    table_.holders.push_back({.block = block,
                              .group = g,
                              .first = mixture.groups[g].first,
                              .count = mixture.groups[g].count,
                              .node = NodeId{kFirstHolder + g % holders},
                              .generation = kGeneration});
  }
  for (uint32_t holder = 0; holder < holders; ++holder) {
    std::vector<uint32_t> groups;
    wire::ExpertPart part{.block = block, .experts = count};
    for (uint32_t g = holder; g < mixture.groups.size(); g += holders) {
      groups.push_back(g);
      part.groups.push_back({g, mixture.groups[g].first, mixture.groups[g].count});
    }
    ASSIGN_OR_RETURN(const store::ExpertsGraph graph,
                     store::JoinExperts(pack, block, groups, {.weights = options.weights}));
    ASSIGN_OR_RETURN(const onnx::Model model, onnx::Parse(graph.onnx));
    Layer layer;
    layer.assign = {.generation = kGeneration,
                    .hidden = manifest.model.hidden,
                    .max_rows = wire::kLimits.rows,
                    .experts = {part}};
    store::StageGraph files;
    files.weights = graph.weights;
    RETURN_IF_ERROR(VerifyStageWeights(pack, files));
    ASSIGN_OR_RETURN(layer.weights, store::StageWeights::Open(pack, files));
    ASSIGN_OR_RETURN(layer.stage,
                     volunteer::ExpertRunner::LoadLayer(model, block, manifest.model.hidden, count,
                                                        *layer.weights, {.exact = options.exact}));
    layers_.emplace(std::pair(block, NodeId{kFirstHolder + holder}), std::move(layer));
  }
  return {};
}

std::vector<uint32_t> LocalExperts::blocks() const {
  std::vector<uint32_t> blocks;
  for (const auto& [block, count] : experts_) blocks.push_back(block);
  return blocks;
}

Result<wire::ExpertSums> LocalExperts::Answer(NodeId holder, const wire::ExpertRows& rows) {
  const Layer& layer = layers_.at({rows.block, holder});
  RETURN_IF_ERROR(volunteer::CheckExpertRows(layer.assign, rows));
  return volunteer::ExpertRunner::RunLayer(*layer.stage, rows);
}

Result<std::vector<float>> LocalExperts::Sum(uint32_t block, std::vector<float> routed,
                                             std::span<const float> routes) {
  const uint32_t hidden = layers_.begin()->second.assign.hidden;
  volunteer::ExpertExchange exchange({block, hidden, experts_.at(block)}, std::move(routed),
                                     routes);
  ASSIGN_OR_RETURN(const wire::ExpertTable table, ThroughCodec(kRouter, kCoordinator, table_));
  ASSIGN_OR_RETURN(auto requests, exchange.Ask(table, next_request_));
  for (volunteer::ExpertExchange::Request& request : requests) {
    ASSIGN_OR_RETURN(const wire::ExpertRows rows,
                     ThroughCodec(request.to, kRouter, std::move(request.rows)));
    sent_[request.to.value - kFirstHolder] += rows.rows;
    ASSIGN_OR_RETURN(wire::ExpertSums sums, Answer(request.to, rows));
    ASSIGN_OR_RETURN(sums, ThroughCodec(kRouter, request.to, std::move(sums)));
    CHECK(exchange.OnSums(request.to, sums));
    if (exchange.error()) return std::unexpected(*exchange.error());
  }
  CHECK(exchange.done());
  return exchange.Sum();
}

}  // namespace shoal::cli
