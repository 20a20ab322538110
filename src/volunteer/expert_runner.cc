#include "volunteer/expert_runner.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "base/str_cat.h"
#include "model/file.h"
#include "onnx/read.h"
#include "tensor/convert.h"
#include "volunteer/hop_type.h"

namespace shoal::volunteer {

namespace {

// Experts have no KV: a session lasts as long as a request.
constexpr SessionId kRequest{1};

}  // namespace

Status CheckExpertRows(const wire::Assign& assign, const wire::ExpertRows& rows) {
  if (rows.generation != assign.generation) {
    return Fail(Code::kFailedPrecondition,
                StrCat("rows for experts of assignment ", rows.generation, "; held is ",
                       assign.generation));
  }
  const auto part = std::ranges::find(assign.experts, rows.block, &wire::ExpertPart::block);
  if (part == assign.experts.end()) {
    return Fail(Code::kNotFound, StrCat("no experts of block ", rows.block, " are held here"));
  }
  if (rows.width != assign.hidden || rows.rows > assign.max_rows) {
    return Fail(Code::kInvalidArgument,
                StrCat(rows.rows, " rows of ", rows.width, " values; hidden states have ",
                       assign.hidden, ", and a request at most ", assign.max_rows, " rows"));
  }
  for (const wire::ExpertChoice& choice : rows.choices) {
    const bool is_held = std::ranges::any_of(part->groups, [&](const wire::ExpertRange& range) {
      return choice.expert >= range.first && choice.expert - range.first < range.count;
    });
    if (!is_held) {
      return Fail(Code::kNotFound,
                  StrCat("expert ", choice.expert, " of block ", rows.block, " is not held here"));
    }
  }
  return {};
}

Result<std::unique_ptr<engine::Stage>> ExpertRunner::LoadLayer(const onnx::Model& model,
                                                               uint32_t block, uint32_t hidden,
                                                               uint32_t experts,
                                                               engine::WeightSource& weights,
                                                               engine::StageOptions options) {
  options.sessions_max = 1;
  ASSIGN_OR_RETURN(auto layer, engine::Stage::Load(model, weights, options));
  const std::vector<engine::RowValue> inputs = {{StrCat("routed.", block), hidden},
                                                {StrCat("routes.", block), experts}};
  const std::vector<engine::RowValue> outputs = {{StrCat("expert_sum.", block), hidden}};
  const engine::StageShape& shape = layer->shape();
  if (shape.inputs != inputs || shape.outputs != outputs || shape.layers != 0) {
    return Fail(Code::kInvalidArgument,
                StrCat("the graph for experts of block ", block, " is not one of experts"));
  }
  return layer;
}

Result<std::unique_ptr<ExpertRunner>> ExpertRunner::Load(const wire::Assign& assign,
                                                         const StagePaths& paths,
                                                         engine::Parallel& parallel, bool exact) {
  std::unique_ptr<ExpertRunner> runner(new ExpertRunner);
  ASSIGN_OR_RETURN(runner->weights_, store::StageWeights::Open(paths));
  for (const wire::ExpertPart& part : assign.experts) {
    const auto path = paths.find(part.graph.location);
    CHECK(path != paths.end());
    ASSIGN_OR_RETURN(const model::MappedFile graph, model::MappedFile::Open(path->second));
    ASSIGN_OR_RETURN(const onnx::Model model, onnx::Parse(graph.bytes()));
    engine::StageOptions options;
    options.exact = exact;
    options.parallel = &parallel;
    ASSIGN_OR_RETURN(auto layer, LoadLayer(model, part.block, assign.hidden, part.experts,
                                           *runner->weights_, options));
    wire::ExpertRows warm_up{.block = part.block, .rows = 1, .width = assign.hidden};
    warm_up.choices = {{0, part.groups.front().first, 1}};
    warm_up.payload.resize(size_t{assign.hidden} * sizeof(float));
    ASSIGN_OR_RETURN(const wire::ExpertSums sums, RunLayer(*layer, warm_up));
    CHECK(sums.rows == 1);
    runner->layers_.emplace(part.block, std::move(layer));
  }
  return runner;
}

Result<wire::ExpertSums> ExpertRunner::Run(const wire::ExpertRows& rows) {
  const auto layer = layers_.find(rows.block);
  CHECK(layer != layers_.end());
  return RunLayer(*layer->second, rows);
}

Result<wire::ExpertSums> ExpertRunner::RunLayer(engine::Stage& layer,
                                                const wire::ExpertRows& rows) {
  const size_t width = layer.shape().input_width;
  std::vector<float> routed(size_t{rows.rows} * rows.width);
  ToF32(DTypeOf(rows.type), rows.payload, routed);
  if (!AllFinite(routed)) {
    return Fail(Code::kInvalidArgument, "rows for experts have values that are not finite");
  }
  std::vector<float> input(rows.rows * width, 0);
  std::vector<engine::Row> places;
  for (uint32_t row = 0; row < rows.rows; ++row) {
    std::copy_n(routed.data() + size_t{row} * rows.width, rows.width, input.data() + row * width);
    places.push_back({kRequest, row, false});
  }
  for (const wire::ExpertChoice& choice : rows.choices) {
    CHECK(choice.row < rows.rows && rows.width + choice.expert < width);
    input[choice.row * width + rows.width + choice.expert] = choice.weight;
  }
  RETURN_IF_ERROR(layer.Open(kRequest, rows.rows));
  const auto output = layer.Run(places, engine::Input::Hidden(input));
  RETURN_IF_ERROR(layer.Release(kRequest));
  if (!output) return std::unexpected(output.error());
  wire::ExpertSums sums{
      .request = rows.request, .type = rows.type, .rows = rows.rows, .width = rows.width};
  sums.payload.resize(output->values.size() * DTypeBytes(DTypeOf(rows.type)));
  FromF32(DTypeOf(rows.type), output->values, sums.payload);
  return sums;
}

}  // namespace shoal::volunteer
