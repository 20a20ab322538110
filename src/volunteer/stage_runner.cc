#include "volunteer/stage_runner.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "model/file.h"
#include "onnx/read.h"
#include "volunteer/session_table.h"

namespace shoal::volunteer {

namespace {

constexpr SessionId kWarmUp{UINT64_MAX};

// What a row of the part's input, or output, is made of at a divided layer.
std::vector<engine::RowValue> HalvesAfter(const wire::StagePart& part, uint32_t hidden) {
  std::vector<engine::RowValue> values = {{StrCat("residual.", part.block), hidden}};
  if (part.takes_routed) values.push_back({StrCat("routed.", part.block), hidden});
  values.push_back({StrCat("expert_sum.", part.block), hidden});
  return values;
}

std::vector<engine::RowValue> HalvesBefore(const wire::StagePart& part, uint32_t hidden) {
  return {{StrCat("residual.", part.block), hidden},
          {StrCat("routed.", part.block), hidden},
          {StrCat("routes.", part.block), part.experts}};
}

Status CheckShape(const wire::Assign& assign, size_t part, const engine::StageShape& shape) {
  bool fits = true;
  if (part > 0) {
    fits = shape.inputs == HalvesAfter(assign.parts[part - 1], assign.hidden);
  } else {
    fits = shape.takes_tokens == (assign.first == 0) &&
           (shape.takes_tokens || (shape.inputs.size() == 1 && shape.input_width == assign.hidden));
  }
  const bool is_last = part == assign.parts.size();
  const uint32_t width = shape.gives_logits ? assign.vocab : assign.hidden;
  if (is_last) {
    fits = fits && shape.outputs.size() == 1 && shape.output_width == width;
  } else {
    fits = fits && shape.outputs == HalvesBefore(assign.parts[part], assign.hidden);
  }
  if (fits) return {};
  return Fail(Code::kInvalidArgument,
              StrCat("the graph of blocks [", assign.first, ", ", assign.last, "), part ", part,
                     " of ", assign.parts.size(), ", takes ", shape.input_width, " and gives ",
                     shape.output_width, " values a row, which its assignment does not say"));
}

// What a position takes in float32, in `layers` slots from `first` on.
uint64_t KvBytesOf(const std::vector<wire::KvSlot>& slots, size_t first, size_t layers) {
  uint64_t bytes = 0;
  for (size_t i = first; i < std::min(slots.size(), first + layers); ++i) {
    bytes += 2 * sizeof(float) * uint64_t{slots[i].heads} * slots[i].head_size;
  }
  return bytes;
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
  ASSIGN_OR_RETURN(runner->weights_, store::StageWeights::Open(paths));
  engine::StageOptions options;
  options.exact = choices.exact;
  options.kv_format = choices.kv_format;
  options.parallel = &parallel;
  options.sessions_max = SessionTable::kSessionsMax + 1;
  options.kv_bytes_max = UINT64_MAX;  // The session table counts.
  size_t slot = 0;
  for (size_t part = 0; part <= assign.parts.size(); ++part) {
    const wire::StageFile& file = part == 0 ? assign.graph : assign.parts[part - 1].graph;
    const auto path = paths.find(file.location);
    CHECK(path != paths.end());
    ASSIGN_OR_RETURN(const model::MappedFile graph, model::MappedFile::Open(path->second));
    ASSIGN_OR_RETURN(const onnx::Model model, onnx::Parse(graph.bytes()));
    ASSIGN_OR_RETURN(auto stage, engine::Stage::Load(model, *runner->weights_, options));
    RETURN_IF_ERROR(CheckShape(assign, part, stage->shape()));
    runner->kv_bytes_.push_back(KvBytesOf(assign.kv, slot, stage->shape().layers));
    slot += stage->shape().layers;
    runner->parts_.push_back(std::move(stage));
  }
  RETURN_IF_ERROR(runner->WarmUp());
  return runner;
}

Status StageRunner::WarmUp() {
  RETURN_IF_ERROR(Open(kWarmUp, 1));
  Status status;
  for (size_t part = 0; part < parts_.size() && status; ++part) {
    const engine::StageShape& shape = parts_[part]->shape();
    RunRequest request{.groups = {{.kv = kWarmUp, .rows = 1, .logit_rows = {0}}}};
    if (shape.takes_tokens) {
      request.tokens.resize(1);
    } else {
      request.hidden.resize(shape.input_width);
    }
    const RunResult result = Run(part, request);
    if (!result[0]) status = std::unexpected(result[0].error());
  }
  RETURN_IF_ERROR(Release(kWarmUp));
  return status;
}

Status StageRunner::Open(SessionId kv, uint32_t capacity) {
  for (const auto& part : parts_) {
    Status status = part->Open(kv, capacity);
    if (status) continue;
    for (const auto& before : parts_) {
      if (before == part) break;
      RETURN_IF_ERROR(before->Release(kv));
    }
    return status;
  }
  return {};
}

// A step under way has gone through some parts and not yet through others.
Status StageRunner::Rollback(SessionId kv, uint32_t length) {
  uint32_t longest = 0;
  for (const auto& part : parts_) {
    ASSIGN_OR_RETURN(const uint32_t position, part->Position(kv));
    longest = std::max(longest, position);
    if (position > length) RETURN_IF_ERROR(part->Rollback(kv, length));
  }
  if (longest >= length) return {};
  return parts_.front()->Rollback(kv, length);
}

Status StageRunner::Release(SessionId kv) {
  Status status;
  for (const auto& part : parts_) {
    if (Status released = part->Release(kv); !released) status = std::move(released);
  }
  return status;
}

// The parts' exports lie side by side in every position, as their layers do in the stage.
Result<ByteVector> StageRunner::ExportKv(SessionId kv, uint32_t from, uint32_t to) const {
  if (parts_.size() == 1) return parts_.front()->ExportKv(kv, from, to);
  std::vector<ByteVector> all;
  for (const auto& part : parts_) {
    ASSIGN_OR_RETURN(ByteVector own, part->ExportKv(kv, from, to));
    all.push_back(std::move(own));
  }
  ByteVector kvs;
  for (uint32_t position = 0; position < to - from; ++position) {
    for (const ByteVector& own : all) {
      const size_t bytes = own.size() / (to - from);
      const auto at = own.begin() + static_cast<ptrdiff_t>(position * bytes);
      kvs.insert(kvs.end(), at, at + static_cast<ptrdiff_t>(bytes));
    }
  }
  return kvs;
}

Status StageRunner::ImportKv(SessionId kv, uint32_t from, uint32_t to, Bytes bytes) {
  if (parts_.size() == 1) return parts_.front()->ImportKv(kv, from, to, bytes);
  uint64_t width = 0;
  for (const uint64_t own : kv_bytes_) width += own;
  if (from > to || bytes.size() != (to - from) * width) {
    return Fail(Code::kInvalidArgument,
                StrCat("KV of positions ", from, " to ", to, " takes ", width, " bytes each, not ",
                       bytes.size(), " in all"));
  }
  uint64_t offset = 0;
  for (size_t part = 0; part < parts_.size(); ++part) {
    ByteVector own;
    for (uint32_t position = 0; position < to - from; ++position) {
      const Bytes piece = bytes.subspan(position * width + offset, kv_bytes_[part]);
      own.insert(own.end(), piece.begin(), piece.end());
    }
    offset += kv_bytes_[part];
    Status status = parts_[part]->ImportKv(kv, from, to, own);
    if (status) continue;
    // All of the parts have it, or none.
    (void)Rollback(kv, from);
    return status;
  }
  return {};
}

Status StageRunner::CopyKv(SessionId from, SessionId to, uint32_t positions) {
  ASSIGN_OR_RETURN(const ByteVector kv, ExportKv(from, 0, positions));
  RETURN_IF_ERROR(Rollback(to, 0));
  return ImportKv(to, 0, positions, kv);
}

RunResult StageRunner::Run(size_t part, const RunRequest& request) {
  engine::Stage& stage = *parts_[part];
  RunResult result;
  size_t rows = 0;
  for (const RowGroup& group : request.groups) rows += group.rows;
  const size_t width = stage.shape().input_width;
  if (auto all = RunGroups(stage, request.groups, InputOf(request, 0, rows, width))) {
    for (std::vector<float>& output : *all) result.emplace_back(std::move(output));
    return result;
  } else if (request.groups.size() == 1) {
    result.emplace_back(std::unexpected(all.error()));
  } else {
    size_t row = 0;
    for (const RowGroup& group : request.groups) {
      auto one = RunGroups(stage, std::span(&group, 1), InputOf(request, row, group.rows, width));
      row += group.rows;
      if (one) {
        result.emplace_back(std::move(one->front()));
      } else {
        result.emplace_back(std::unexpected(one.error()));
      }
    }
  }
  for (size_t i = 0; i < request.groups.size() && part > 0; ++i) {
    // A cache that is not there is what the error is about.
    if (!result[i]) (void)Rollback(request.groups[i].kv, request.groups[i].position);
  }
  return result;
}

Result<std::vector<std::vector<float>>> StageRunner::RunGroups(engine::Stage& stage,
                                                               std::span<const RowGroup> groups,
                                                               const engine::Input& input) {
  std::vector<engine::Row> rows;
  for (const RowGroup& group : groups) {
    const size_t first = rows.size();
    for (uint32_t i = 0; i < group.rows; ++i) rows.push_back({group.kv, group.position + i, false});
    for (const uint32_t row : group.logit_rows) rows[first + row].want_logits = true;
  }
  ASSIGN_OR_RETURN(const engine::Output output, stage.Run(rows, input));
  std::vector<std::vector<float>> parts;
  auto at = output.values.begin();
  for (const RowGroup& group : groups) {
    const size_t count =
        (stage.shape().gives_logits ? group.logit_rows.size() : group.rows) * output.width;
    parts.emplace_back(at, at + static_cast<ptrdiff_t>(count));
    at += static_cast<ptrdiff_t>(count);
  }
  CHECK(at == output.values.end());
  return parts;
}

}  // namespace shoal::volunteer
