#include "engine/stage.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "base/str_cat.h"
#include "engine/kv_cache.h"
#include "engine/plan.h"
#include "engine/step.h"
#include "tensor/convert.h"

namespace shoal::engine {

namespace {

struct Session {
  KvCache cache;
  // Rows that the run in progress has taken in so far; 0 between runs.
  uint32_t pending = 0;
};

}  // namespace

struct Stage::Impl {
  Plan plan;
  StageOptions options;
  std::unordered_map<SessionId, Session> sessions;
  // The sum of the sessions' capacities.
  uint64_t positions_reserved = 0;

  // Of the last run; kept so that steps of the same size allocate nothing.
  std::vector<Session*> row_sessions;
  std::vector<RowPlace> places;
  std::vector<int32_t> logit_rows;
  std::vector<uint32_t> output_rows;
  std::vector<std::vector<float>> buffers;
  std::vector<float> scores;
  std::vector<float> gathered;  // Of several outputs.
  Serial serial;
  RunFrame frame;

  Result<Session*> Find(SessionId id);
  Status CheckInput(std::span<const Row> rows, const Input& input) const;
  Status TakeRows(std::span<const Row> rows);
  Status PrepareBuffers(std::span<const Row> rows, const Input& input);
  void SpreadInput(std::span<const float> hidden, size_t rows);
  std::span<const float> GatherOutput();
  Status CheckOutput(std::span<const float> values) const;
  Result<Output> Run(std::span<const Row> rows, const Input& input);
};

Result<Session*> Stage::Impl::Find(SessionId id) {
  const auto found = sessions.find(id);
  if (found != sessions.end()) return &found->second;
  return Fail(Code::kNotFound, StrCat("session ", id.value, " is not open in this stage"));
}

Status Stage::Impl::CheckInput(std::span<const Row> rows, const Input& input) const {
  const StageShape& shape = plan.shape;
  if (rows.empty()) return Fail(Code::kInvalidArgument, "a run needs at least one row");
  if (rows.size() > options.rows_max) {
    return Fail(Code::kResourceExhausted,
                StrCat(rows.size(), " rows in one run, more than ", options.rows_max));
  }
  const size_t given = shape.takes_tokens ? input.tokens.size() : input.hidden.size();
  const size_t other = shape.takes_tokens ? input.hidden.size() : input.tokens.size();
  if (other != 0 || given != rows.size() * shape.input_width) {
    return Fail(
        Code::kInvalidArgument,
        StrCat("this stage takes ", shape.takes_tokens ? "a token" : "hidden states",
               " per row: ", rows.size() * shape.input_width, " values for ", rows.size(),
               " rows, not ", input.tokens.size(), " tokens and ", input.hidden.size(), " floats"));
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    if (shape.takes_tokens) {
      const int32_t token = input.tokens[r];
      if (token < 0 || static_cast<uint32_t>(token) >= shape.vocab_size) {
        return Fail(Code::kInvalidArgument,
                    StrCat("row ", r, ": token ", token, " is outside of the vocabulary of ",
                           shape.vocab_size));
      }
    } else if (!AllFinite(input.hidden.subspan(r * shape.input_width, shape.input_width))) {
      return Fail(Code::kInvalidArgument,
                  StrCat("row ", r, ": its hidden states hold a NaN or an infinity"));
    }
  }
  return {};
}

// Finds every row's session and place. Sessions' pending counts say how far it came.
Status Stage::Impl::TakeRows(std::span<const Row> rows) {
  row_sessions.clear();
  for (size_t r = 0; r < rows.size(); ++r) {
    const Row& row = rows[r];
    Result<Session*> session = Find(row.session);
    if (!session) return FailWithContext(std::move(session).error(), StrCat("row ", r));
    const KvCache& cache = (*session)->cache;
    const uint32_t expected = cache.length() + (*session)->pending;
    if (row.position != expected) {
      return Fail(Code::kFailedPrecondition,
                  StrCat("row ", r, ": session ", row.session.value, " is at position ", expected,
                         ", the row at ", row.position));
    }
    if (expected >= cache.capacity()) {
      return Fail(Code::kOutOfRange, StrCat("row ", r, ": session ", row.session.value,
                                            " was opened for ", cache.capacity(), " positions"));
    }
    ++(*session)->pending;
    row_sessions.push_back(*session);
  }
  return {};
}

Status Stage::Impl::PrepareBuffers(std::span<const Row> rows, const Input& input) {
  logit_rows.clear();
  output_rows.clear();
  for (uint32_t r = 0; r < rows.size(); ++r) {
    if (plan.shape.gives_logits && !rows[r].want_logits) continue;
    output_rows.push_back(r);
    if (plan.shape.gives_logits) logit_rows.push_back(static_cast<int32_t>(r));
  }
  frame.counts = {rows.size(), logit_rows.size()};
  uint64_t floats = 0;
  for (const BufferSize& size : plan.buffers) floats += size.In(frame.counts);
  const uint64_t bytes = floats * sizeof(float) + rows.size() * plan.block_row_bytes;
  if (bytes > options.scratch_bytes_max) {
    return Fail(Code::kResourceExhausted,
                StrCat(rows.size(), " rows need ", FormatSize(bytes),
                       " of working memory, more than ", FormatSize(options.scratch_bytes_max)));
  }
  buffers.resize(plan.buffers.size());
  for (size_t b = 0; b < buffers.size(); ++b) buffers[b].resize(plan.buffers[b].In(frame.counts));
  frame.data.assign(plan.buffer_of.size(), nullptr);
  for (size_t v = 0; v < plan.buffer_of.size(); ++v) {
    if (plan.buffer_of[v] != kNoBuffer) frame.data[v] = buffers[plan.buffer_of[v]].data();
  }
  places.clear();
  uint32_t positions = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    KvCache& cache = row_sessions[r]->cache;
    cache.Reserve(cache.length() + row_sessions[r]->pending);
    places.push_back({&cache, rows[r].position});
    positions = std::max(positions, rows[r].position + 1);
  }
  frame.parallel = options.parallel != nullptr ? options.parallel : &serial;
  // Several tasks a thread, since rows attend to more and more positions.
  const size_t threads = frame.parallel->threads();
  frame.tasks = threads == 1 ? 1 : 4 * threads;
  frame.scores_per_task = size_t{positions} + 1 + plan.head_size_max;
  const size_t scores_needed = frame.tasks * frame.scores_per_task;
  if (scores.size() < scores_needed) scores.resize(scores_needed);
  frame.rows = places;
  frame.tokens = input.tokens;
  frame.logit_rows = logit_rows;
  frame.scores = scores;
  frame.block_rows_of = kNoValue;
  SpreadInput(input.hidden, rows.size());
  return {};
}

// The values that a row of input is made of go into buffers of their own.
void Stage::Impl::SpreadInput(std::span<const float> hidden, size_t rows) {
  size_t at = 0;
  for (const RowBuffer& part : plan.inputs) {
    float* const to = buffers[part.buffer].data();
    for (size_t r = 0; r < rows; ++r) {
      const float* const from = hidden.data() + r * plan.shape.input_width + at;
      std::copy_n(from, part.width, to + r * part.width);
    }
    at += part.width;
  }
}

// The reverse. One value is its buffer.
std::span<const float> Stage::Impl::GatherOutput() {
  const size_t rows = output_rows.size();
  const size_t width = plan.shape.output_width;
  if (plan.outputs.size() == 1) {
    return {buffers[plan.outputs.front().buffer].data(), rows * width};
  }
  gathered.resize(rows * width);
  size_t at = 0;
  for (const RowBuffer& part : plan.outputs) {
    const float* const from = buffers[part.buffer].data();
    for (size_t r = 0; r < rows; ++r) {
      std::copy_n(from + r * part.width, part.width, gathered.data() + r * width + at);
    }
    at += part.width;
  }
  return gathered;
}

Status Stage::Impl::CheckOutput(std::span<const float> values) const {
  const size_t width = plan.shape.output_width;
  for (size_t i = 0; i < output_rows.size(); ++i) {
    if (!AllFinite(values.subspan(i * width, width))) {
      return Fail(Code::kDataLoss, StrCat("row ", output_rows[i],
                                          " came out with a NaN or an infinity: this stage's "
                                          "weights are damaged, or its input was"));
    }
  }
  return {};
}

Result<Output> Stage::Impl::Run(std::span<const Row> rows, const Input& input) {
  RETURN_IF_ERROR(TakeRows(rows));
  RETURN_IF_ERROR(PrepareBuffers(rows, input));
  for (const std::unique_ptr<Step>& step : plan.steps) step->Run(frame);
  const std::span<const float> values = GatherOutput();
  RETURN_IF_ERROR(CheckOutput(values));
  for (Session* session : row_sessions) {
    session->cache.Commit(session->cache.length() + session->pending);
    session->pending = 0;
  }
  return Output{plan.shape.output_width, output_rows, values};
}

Stage::Stage(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Stage::~Stage() = default;

Result<std::unique_ptr<Stage>> Stage::Load(const onnx::Model& model, WeightSource& weights,
                                           const StageOptions& options) {
  Result<Plan> plan = MakePlan(model, weights, options);
  if (!plan) return FailWithContext(std::move(plan).error(), "loading a stage");
  auto impl = std::make_unique<Impl>();
  impl->plan = *std::move(plan);
  impl->options = options;
  return std::unique_ptr<Stage>(new Stage(std::move(impl)));
}

const StageShape& Stage::shape() const { return impl_->plan.shape; }

Status Stage::Open(SessionId session, uint32_t capacity_positions) {
  const StageShape& shape = impl_->plan.shape;
  const StageOptions& options = impl_->options;
  if (impl_->sessions.contains(session)) {
    return Fail(Code::kAlreadyExists, StrCat("session ", session.value, " is open already"));
  }
  if (capacity_positions == 0 || capacity_positions > shape.positions_max) {
    return Fail(Code::kOutOfRange, StrCat("a session of ", capacity_positions,
                                          " positions; this stage has 1 to ", shape.positions_max));
  }
  if (impl_->sessions.size() >= options.sessions_max) {
    return Fail(Code::kResourceExhausted,
                StrCat("all ", options.sessions_max, " sessions of this stage are in use"));
  }
  const uint64_t positions = impl_->positions_reserved + capacity_positions;
  if (shape.kv_bytes_per_position != 0 &&
      positions > options.kv_bytes_max / shape.kv_bytes_per_position) {
    return Fail(Code::kResourceExhausted,
                StrCat(capacity_positions, " more positions of ", shape.kv_bytes_per_position,
                       " bytes do not fit into the ", FormatSize(options.kv_bytes_max),
                       " that this stage has for sessions"));
  }
  impl_->positions_reserved = positions;
  impl_->sessions.emplace(
      session, Session{KvCache(impl_->plan.kv_layout, options.kv_format, capacity_positions), 0});
  return {};
}

Status Stage::Release(SessionId session) {
  ASSIGN_OR_RETURN(const Session* found, impl_->Find(session));
  impl_->positions_reserved -= found->cache.capacity();
  impl_->sessions.erase(session);
  return {};
}

Status Stage::Rollback(SessionId session, uint32_t position) {
  ASSIGN_OR_RETURN(Session * found, impl_->Find(session));
  if (position > found->cache.length()) {
    return Fail(Code::kOutOfRange, StrCat("session ", session.value, " cannot roll back to ",
                                          position, " from ", found->cache.length()));
  }
  found->cache.Commit(position);
  return {};
}

Result<uint32_t> Stage::Position(SessionId session) const {
  ASSIGN_OR_RETURN(const Session* found, impl_->Find(session));
  return found->cache.length();
}

Result<ByteVector> Stage::ExportKv(SessionId session, uint32_t from, uint32_t to) const {
  ASSIGN_OR_RETURN(const Session* found, impl_->Find(session));
  if (from > to || to > found->cache.length()) {
    return Fail(Code::kOutOfRange, StrCat("positions ", from, " to ", to, " of session ",
                                          session.value, ", which has ", found->cache.length()));
  }
  return found->cache.Export(from, to);
}

Status Stage::ImportKv(SessionId session, uint32_t from, uint32_t to, Bytes bytes) {
  ASSIGN_OR_RETURN(Session * found, impl_->Find(session));
  KvCache& cache = found->cache;
  if (from != cache.length()) {
    return Fail(Code::kFailedPrecondition, StrCat("session ", session.value, " is at position ",
                                                  cache.length(), ", the import starts at ", from));
  }
  if (to < from || to > cache.capacity()) {
    return Fail(Code::kOutOfRange,
                StrCat("an import of positions ", from, " to ", to, " into session ", session.value,
                       ", opened for ", cache.capacity()));
  }
  const uint64_t expected = (to - from) * KvBytesPerPosition(impl_->plan.kv_layout, KvFormat::kF32);
  if (bytes.size() != expected) {
    return Fail(Code::kInvalidArgument,
                StrCat(to - from, " positions take ", expected, " bytes, not ", bytes.size()));
  }
  RETURN_IF_ERROR(cache.Import(to, bytes));
  cache.Commit(to);
  return {};
}

Result<Output> Stage::Run(std::span<const Row> rows, const Input& input) {
  RETURN_IF_ERROR(impl_->CheckInput(rows, input));
  Result<Output> output = impl_->Run(rows, input);
  if (!output) {
    for (Session* session : impl_->row_sessions) session->pending = 0;
  }
  return output;
}

}  // namespace shoal::engine
