#include "cli/local_route.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "onnx/read.h"
#include "tensor/convert.h"
#include "wire/codec.h"

namespace shoal::cli {

namespace {

constexpr SessionId kSession{1};
constexpr uint32_t kChunkRows = 128;

DType PayloadDType(wire::PayloadType type) {
  return type == wire::PayloadType::kF16 ? DType::kF16 : DType::kF32;
}

// What reaches the next stage: the hidden states after a frame was made of them and read again.
Result<std::vector<float>> Hop(const std::vector<wire::Row>& rows, std::span<const float> hidden,
                               uint32_t width, wire::PayloadType type) {
  wire::Step step;
  step.rows = rows;
  step.type = type;
  step.width = width;
  step.payload.resize(hidden.size() * DTypeBytes(PayloadDType(type)));
  FromF32(PayloadDType(type), hidden, step.payload);
  const wire::Frame frame{kCoordinator, kCoordinator, std::move(step)};
  RETURN_IF_ERROR(wire::Validate(frame));
  ASSIGN_OR_RETURN(const wire::Frame arrived, wire::Decode(wire::Encode(frame)));
  const auto* received = std::get_if<wire::Step>(&arrived.body);
  CHECK(received != nullptr && received->rows == rows);
  std::vector<float> values(hidden.size());
  ToF32(PayloadDType(received->type), received->payload, values);
  return values;
}

}  // namespace

Status CheckCuts(std::span<const uint32_t> cuts, uint32_t block_count) {
  uint32_t previous = 0;
  for (const uint32_t cut : cuts) {
    if (cut <= previous || cut >= block_count) {
      return Fail(Code::kInvalidArgument,
                  StrCat("cut ", cut, ": cuts ascend from 1 to ", block_count - 1,
                         ", the model has ", block_count, " blocks"));
    }
    previous = cut;
  }
  return {};
}

Result<LocalRoute> LocalRoute::Load(const store::Pack& pack, std::span<const uint32_t> cuts,
                                    const RouteOptions& route_options, uint32_t positions) {
  CHECK(route_options.hop != wire::PayloadType::kTokens);
  const uint32_t block_count = pack.manifest().block_count();
  RETURN_IF_ERROR(CheckCuts(cuts, block_count));
  const std::vector<size_t>& sets = route_options.weights;
  if (sets.size() != 1 && (sets.size() != cuts.size() + 1 || route_options.expert_holders > 0)) {
    return Fail(Code::kInvalidArgument,
                StrCat(sets.size(), " sets of weights for ", cuts.size() + 1, " stages"));
  }
  LocalRoute route;
  route.hop_ = route_options.hop;
  route.positions_ = positions;
  route.vocab_ = pack.manifest().model.vocab;
  route.hidden_ = pack.manifest().model.hidden;
  std::vector<uint32_t> divided;
  if (route_options.expert_holders > 0) {
    const auto type =
        route_options.hop == wire::PayloadType::kF16 ? wire::HopType::kF16 : wire::HopType::kF32;
    ASSIGN_OR_RETURN(route.experts_,
                     LocalExperts::Load(pack, {.holders = route_options.expert_holders,
                                               .hop = type,
                                               .exact = route_options.exact,
                                               .weights = sets.front()}));
    divided = route.experts_->blocks();
  }
  std::vector<uint32_t> borders(cuts.begin(), cuts.end());
  borders.push_back(block_count);
  uint32_t first = 0;
  for (const uint32_t last : borders) {
    std::vector<uint32_t> here;
    for (const uint32_t block : divided) {
      if (block >= first && block < last) here.push_back(block);
    }
    const size_t set = sets.size() == 1 ? sets.front() : sets[route.stages_.size()];
    ASSIGN_OR_RETURN(store::StageGraph graph,
                     JoinStage(pack, first, last, positions, {.weights = set}, here));
    RETURN_IF_ERROR(VerifyStageWeights(pack, graph));
    LocalStage local;
    ASSIGN_OR_RETURN(local.weights, store::StageWeights::Open(pack, graph));
    engine::StageOptions options;
    options.exact = route_options.exact;
    options.kv_format = route_options.kv_format;
    options.kv_bytes_max = uint64_t{1} << 40;  // One session: the machine is the limit.
    local.more = std::move(graph.more);
    for (size_t part = 0; part <= local.more.size(); ++part) {
      ASSIGN_OR_RETURN(const onnx::Model model,
                       onnx::Parse(part == 0 ? graph.onnx : local.more[part - 1].onnx));
      ASSIGN_OR_RETURN(auto stage, engine::Stage::Load(model, *local.weights, options));
      local.parts.push_back(std::move(stage));
    }
    route.stages_.push_back(std::move(local));
    first = last;
  }
  RETURN_IF_ERROR(route.Reset());
  return route;
}

Status LocalRoute::Reset() {
  for (const LocalStage& local : stages_) {
    for (const auto& part : local.parts) {
      if (open_) RETURN_IF_ERROR(part->Release(kSession));
      RETURN_IF_ERROR(part->Open(kSession, positions_));
    }
  }
  open_ = true;
  position_ = 0;
  return {};
}

Result<std::vector<float>> LocalRoute::Feed(std::span<const int32_t> tokens, size_t wanted) {
  CHECK(wanted <= tokens.size());
  std::vector<float> logits;
  const size_t first_wanted = tokens.size() - wanted;
  for (size_t at = 0; at < tokens.size(); at += kChunkRows) {
    const size_t end = std::min(tokens.size(), at + kChunkRows);
    const size_t wanted_here = end > first_wanted ? end - std::max(at, first_wanted) : 0;
    RETURN_IF_ERROR(FeedChunk(tokens.subspan(at, end - at), wanted_here, logits));
  }
  return logits;
}

Status LocalRoute::FeedChunk(std::span<const int32_t> tokens, size_t wanted,
                             std::vector<float>& logits) {
  std::vector<wire::Row> frame_rows;
  std::vector<engine::Row> rows;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto position = static_cast<uint32_t>(position_ + i);
    frame_rows.push_back({kSession, Epoch{1}, position, 0});
    rows.push_back({kSession, position, i >= tokens.size() - wanted});
  }
  std::vector<float> hidden;
  for (size_t i = 0; i < stages_.size(); ++i) {
    const engine::Input input =
        i == 0 ? engine::Input::Tokens(tokens) : engine::Input::Hidden(hidden);
    ASSIGN_OR_RETURN(const engine::Output output, RunStage(stages_[i], rows, input));
    if (i + 1 == stages_.size()) {
      CHECK(output.values.size() == wanted * vocab_);
      logits.insert(logits.end(), output.values.begin(), output.values.end());
    } else {
      ASSIGN_OR_RETURN(hidden, Hop(frame_rows, output.values, output.width, hop_));
    }
  }
  position_ += static_cast<uint32_t>(tokens.size());
  return {};
}

Result<engine::Output> LocalRoute::RunStage(LocalStage& local, std::span<const engine::Row> rows,
                                            const engine::Input& input) {
  ASSIGN_OR_RETURN(engine::Output output, local.parts[0]->Run(rows, input));
  for (size_t part = 1; part < local.parts.size(); ++part) {
    const store::StagePart& layer = local.more[part - 1];
    const size_t width = output.width;
    CHECK(width == 2 * size_t{hidden_} + layer.experts);
    std::vector<float> routed;
    std::vector<float> routes;
    for (size_t row = 0; row < rows.size(); ++row) {
      const auto values = output.values.subspan(row * width, width);
      routed.insert(routed.end(), values.begin() + hidden_, values.begin() + 2 * hidden_);
      routes.insert(routes.end(), values.begin() + 2 * hidden_, values.end());
    }
    ASSIGN_OR_RETURN(const std::vector<float> sum, experts_->Sum(layer.block, routed, routes));
    std::vector<float> next;
    for (size_t row = 0; row < rows.size(); ++row) {
      const auto values = output.values.subspan(row * width, width);
      const auto end = values.begin() + (layer.takes_routed ? 2 * hidden_ : hidden_);
      next.insert(next.end(), values.begin(), end);
      const auto from = sum.begin() + static_cast<ptrdiff_t>(row * hidden_);
      next.insert(next.end(), from, from + hidden_);
    }
    ASSIGN_OR_RETURN(output, local.parts[part]->Run(rows, engine::Input::Hidden(next)));
  }
  return output;
}

std::vector<uint64_t> LocalRoute::ExpertRowsSent() const {
  return experts_ ? experts_->sent() : std::vector<uint64_t>();
}

Result<std::vector<int32_t>> LocalRoute::Greedy(std::span<const int32_t> prompt, uint32_t count) {
  RETURN_IF_ERROR(Reset());
  std::vector<int32_t> tokens;
  if (count == 0) return tokens;
  ASSIGN_OR_RETURN(std::vector<float> logits, Feed(prompt, 1));
  tokens.push_back(BestToken(logits));
  while (tokens.size() < count) {
    const int32_t last = tokens.back();
    ASSIGN_OR_RETURN(logits, Feed(std::span(&last, 1), 1));
    tokens.push_back(BestToken(logits));
  }
  return tokens;
}

int32_t BestToken(std::span<const float> logits) {
  CHECK(!logits.empty());
  return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
}

}  // namespace shoal::cli
