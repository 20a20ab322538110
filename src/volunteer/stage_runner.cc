#include "volunteer/stage_runner.h"

#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "model/file.h"
#include "onnx/read.h"
#include "volunteer/session_table.h"

namespace shoal::volunteer {

namespace {

constexpr SessionId kWarmUp{UINT64_MAX};

Status CheckShape(const wire::Assign& assign, const engine::StageShape& shape) {
  const uint32_t width = shape.gives_logits ? assign.vocab : assign.hidden;
  if (shape.takes_tokens == (assign.first == 0) && shape.output_width == width &&
      (shape.takes_tokens || shape.input_width == assign.hidden)) {
    return {};
  }
  return Fail(Code::kInvalidArgument,
              StrCat("the graph of blocks [", assign.first, ", ", assign.last, ") gives ",
                     shape.output_width, " values a row, its assignment says ", width));
}

// The part of the input that belongs to rows [from, from + rows).
engine::Input InputOf(const RunRequest& request, size_t from, size_t rows, size_t width) {
  if (request.hidden.empty()) {
    return engine::Input::Tokens(std::span(request.tokens).subspan(from, rows));
  }
  return engine::Input::Hidden(std::span(request.hidden).subspan(from * width, rows * width));
}

}  // namespace

Result<std::unique_ptr<StageRunner>> StageRunner::Load(const wire::Assign& assign,
                                                       const StagePaths& paths,
                                                       engine::Parallel& parallel,
                                                       const EngineChoices& choices) {
  std::unique_ptr<StageRunner> runner(new StageRunner);
  const auto graph_path = paths.find(assign.graph.location);
  CHECK(graph_path != paths.end());
  ASSIGN_OR_RETURN(const model::MappedFile graph, model::MappedFile::Open(graph_path->second));
  ASSIGN_OR_RETURN(const onnx::Model model, onnx::Parse(graph.bytes()));
  ASSIGN_OR_RETURN(runner->weights_, store::StageWeights::Open(paths));
  engine::StageOptions options;
  options.exact = choices.exact;
  options.kv_format = choices.kv_format;
  options.parallel = &parallel;
  options.sessions_max = SessionTable::kSessionsMax + 1;
  options.kv_bytes_max = UINT64_MAX;  // The session table counts.
  ASSIGN_OR_RETURN(runner->stage_, engine::Stage::Load(model, *runner->weights_, options));
  RETURN_IF_ERROR(CheckShape(assign, runner->stage_->shape()));
  RETURN_IF_ERROR(runner->WarmUp());
  return runner;
}

Status StageRunner::WarmUp() {
  const engine::StageShape& shape = stage_->shape();
  RunRequest request{.groups = {{.kv = kWarmUp, .rows = 1, .logit_rows = {0}}}};
  if (shape.takes_tokens) {
    request.tokens.resize(1);
  } else {
    request.hidden.resize(shape.input_width);
  }
  RETURN_IF_ERROR(stage_->Open(kWarmUp, 1));
  const RunResult result = Run(request);
  RETURN_IF_ERROR(stage_->Release(kWarmUp));
  if (!result[0]) return std::unexpected(result[0].error());
  return {};
}

Status StageRunner::CopyKv(SessionId from, SessionId to, uint32_t positions) {
  ASSIGN_OR_RETURN(const ByteVector kv, stage_->ExportKv(from, 0, positions));
  RETURN_IF_ERROR(stage_->Rollback(to, 0));
  return stage_->ImportKv(to, 0, positions, kv);
}

RunResult StageRunner::Run(const RunRequest& request) {
  RunResult result;
  size_t rows = 0;
  for (const RowGroup& group : request.groups) rows += group.rows;
  const size_t width = stage_->shape().input_width;
  if (auto all = RunGroups(request.groups, InputOf(request, 0, rows, width))) {
    for (std::vector<float>& output : *all) result.emplace_back(std::move(output));
  } else if (request.groups.size() == 1) {
    result.emplace_back(std::unexpected(all.error()));
  } else {
    size_t row = 0;
    for (const RowGroup& group : request.groups) {
      auto one = RunGroups(std::span(&group, 1), InputOf(request, row, group.rows, width));
      row += group.rows;
      if (one) {
        result.emplace_back(std::move(one->front()));
      } else {
        result.emplace_back(std::unexpected(one.error()));
      }
    }
  }
  return result;
}

Result<std::vector<std::vector<float>>> StageRunner::RunGroups(std::span<const RowGroup> groups,
                                                               const engine::Input& input) {
  std::vector<engine::Row> rows;
  for (const RowGroup& group : groups) {
    const size_t first = rows.size();
    for (uint32_t i = 0; i < group.rows; ++i) rows.push_back({group.kv, group.position + i, false});
    for (const uint32_t row : group.logit_rows) rows[first + row].want_logits = true;
  }
  ASSIGN_OR_RETURN(const engine::Output output, stage_->Run(rows, input));
  std::vector<std::vector<float>> parts;
  auto at = output.values.begin();
  for (const RowGroup& group : groups) {
    const size_t count = (has_head() ? group.logit_rows.size() : group.rows) * output.width;
    parts.emplace_back(at, at + static_cast<ptrdiff_t>(count));
    at += static_cast<ptrdiff_t>(count);
  }
  CHECK(at == output.values.end());
  return parts;
}

}  // namespace shoal::volunteer
