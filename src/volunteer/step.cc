#include "volunteer/step.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "base/str_cat.h"
#include "tensor/convert.h"
#include "volunteer/hop_type.h"
#include "wire/sampling.h"

namespace shoal::volunteer {

namespace {

// A group and what was computed for it.
struct Computed {
  const StepGroup* group = nullptr;
  std::vector<float> output;
};

uint32_t InputWidth(const wire::Assign& assign) { return assign.first == 0 ? 1 : assign.hidden; }

// What is wrong with the frame as a whole, for every session in it.
Status CheckFrame(const wire::Assign& assign, const wire::Step& step) {
  if (step.rows.size() > assign.max_rows) {
    return Fail(Code::kInvalidArgument, StrCat("a step of ", step.rows.size(), " rows; at most ",
                                               assign.max_rows, " were agreed"));
  }
  const bool wants_tokens = assign.first == 0;
  const bool are_tokens = step.type == wire::PayloadType::kTokens;
  if (are_tokens == wants_tokens && step.width == InputWidth(assign)) return {};
  return Fail(Code::kInvalidArgument,
              StrCat("a payload of ", are_tokens ? "tokens" : "hidden states", " x ", step.width,
                     "; blocks [", assign.first, ", ", assign.last, ") take ",
                     wants_tokens ? "tokens x 1" : StrCat("hidden states x ", assign.hidden)));
}

// Positions must continue the KV cache. The codec has seen to one epoch a session, and to a
// sampling for each row that wants a token.
Status CheckRows(const StepContext& context, const wire::Step& step, const StepGroup& group) {
  const Session& session = *group.session;
  const uint64_t end = uint64_t{session.length} + group.rows;
  if (end > session.capacity) {
    return Fail(Code::kOutOfRange, StrCat("position ", end - 1, " of a session opened for ",
                                          session.capacity, " positions"));
  }
  for (uint32_t i = 0; i < group.rows; ++i) {
    const uint32_t position = step.rows[group.first_row + i].position;
    if (position == session.length + i) continue;
    return Fail(Code::kFailedPrecondition,
                StrCat("a row at position ", position, "; position ", session.length + i,
                       " is next in the KV of blocks [", context.assign.first, ", ",
                       context.assign.last, ")"));
  }
  return {};
}

// The rows of the frame as numbers; one of the two.
struct Payload {
  std::vector<int32_t> tokens;
  std::vector<float> hidden;
};

Payload ReadPayload(const wire::Step& step) {
  Payload payload;
  if (step.type == wire::PayloadType::kTokens) {
    payload.tokens.resize(step.rows.size());
    std::memcpy(payload.tokens.data(), step.payload.data(), step.payload.size());
  } else {
    payload.hidden.resize(step.rows.size() * step.width);
    ToF32(step.type == wire::PayloadType::kF16 ? DType::kF16 : DType::kF32, step.payload,
          payload.hidden);
  }
  return payload;
}

Status CheckInput(const wire::Assign& assign, const wire::Step& step, const StepGroup& group,
                  const Payload& payload) {
  for (size_t row = group.first_row; row < group.first_row + group.rows; ++row) {
    const uint32_t position = step.rows[row].position;
    if (!payload.tokens.empty()) {
      const int32_t token = payload.tokens[row];
      if (token >= 0 && static_cast<uint32_t>(token) < assign.vocab) continue;
      return Fail(Code::kInvalidArgument, StrCat("token ", token, " at position ", position,
                                                 "; the vocabulary has ", assign.vocab));
    }
    if (AllFinite(std::span(payload.hidden).subspan(row * step.width, step.width))) continue;
    return Fail(Code::kInvalidArgument,
                StrCat("the hidden state at position ", position, " of session ",
                       group.session->id.value, " has values that are not finite"));
  }
  return {};
}

// Takes the group into the step, or says why not.
Status AdmitGroup(const StepContext& context, const wire::Step& step, const Payload& payload,
                  StepGroup group, AdmittedStep& admitted) {
  RETURN_IF_ERROR(CheckRows(context, step, group));
  RETURN_IF_ERROR(CheckInput(context.assign, step, group, payload));
  RowGroup run{.kv = group.session->kv, .position = group.session->length, .rows = group.rows};
  for (const StepGroup::Wanted& wanted : group.wanted) run.logit_rows.push_back(wanted.row);
  RunRequest& request = admitted.request;
  const size_t from = group.first_row * step.width;
  const size_t count = size_t{group.rows} * step.width;
  const auto append = [&](const auto& source, auto& target) {
    if (source.empty()) return;
    const auto begin = source.begin() + static_cast<ptrdiff_t>(from);
    target.insert(target.end(), begin, begin + static_cast<ptrdiff_t>(count));
  };
  append(payload.tokens, request.tokens);
  append(payload.hidden, request.hidden);
  request.groups.push_back(std::move(run));
  admitted.groups.push_back(std::move(group));
  return {};
}

// The output, unless the group failed or is no longer wanted.
std::optional<std::vector<float>> Settle(const StepContext& context, const StepGroup& group,
                                         Result<std::vector<float>> result) {
  Session& session = *group.session;
  if (session.gone) return std::nullopt;
  if (result) session.length += group.rows;
  if (session.epoch != group.epoch || session.cancelled) return std::nullopt;
  if (result) return *std::move(result);
  context.outbox.TellError(result.error(), {.session = session.id, .epoch = group.epoch});
  return std::nullopt;
}

void SendTokens(const StepContext& context, const wire::Step& step,
                const std::vector<Computed>& groups, StepDone& done) {
  for (const auto& [group, output] : groups) {
    for (size_t i = 0; i < group->wanted.size(); ++i) {
      const StepGroup::Wanted& wanted = group->wanted[i];
      const auto logits = std::span(output).subspan(i * context.assign.vocab, context.assign.vocab);
      auto token =
          wire::SampleToken(logits, step.rows[group->first_row + wanted.row], *wanted.sampling);
      Result<uint64_t> sent = token ? context.outbox.Send(*std::move(token))
                                    : Result<uint64_t>(std::unexpected(token.error()));
      if (sent) {
        done.bytes_out += *sent;
        ++done.tokens;
      } else {
        context.outbox.TellError(sent.error(),
                                 {.session = group->session->id, .epoch = group->epoch});
      }
    }
  }
}

// The groups' rows in the order of the frame, without those that were run for their KV alone.
Result<uint64_t> SendBatch(const StepContext& context, const wire::Step& step,
                           const std::vector<const Computed*>& groups, NodeId next,
                           wire::HopType hop) {
  const uint32_t width = context.assign.hidden;
  wire::Step out;
  out.type = hop == wire::HopType::kF16 ? wire::PayloadType::kF16 : wire::PayloadType::kF32;
  out.width = width;
  std::vector<float> hidden;
  auto sampling = step.sampling.begin();
  for (const Computed* one : groups) {
    for (uint32_t i = 0; i < one->group->rows; ++i) {
      const size_t index = one->group->first_row + i;
      const wire::Row& row = step.rows[index];
      if ((row.flags & wire::Row::kReplay) != 0) continue;
      const auto begin = one->output.begin() + static_cast<ptrdiff_t>(size_t{i} * width);
      hidden.insert(hidden.end(), begin, begin + width);
      // Rows of other batches are not in this frame, which moves the others up.
      while (sampling != step.sampling.end() && sampling->row < index) ++sampling;
      if (sampling != step.sampling.end() && sampling->row == index) {
        out.sampling.push_back(*sampling);
        out.sampling.back().row = static_cast<uint32_t>(out.rows.size());
      }
      out.rows.push_back(row);
    }
  }
  if (out.rows.empty()) return 0;
  const DType type = DTypeOf(hop);
  out.payload.resize(hidden.size() * DTypeBytes(type));
  FromF32(type, hidden, out.payload);
  return context.outbox.Send(std::move(out), next);
}

// One step frame for every next node and type of hop.
void SendHidden(const StepContext& context, const wire::Step& step,
                const std::vector<Computed>& groups, StepDone& done) {
  std::map<std::pair<NodeId, wire::HopType>, std::vector<const Computed*>> batches;
  for (const Computed& one : groups) {
    batches[{one.group->session->next, one.group->session->hop}].push_back(&one);
  }
  for (const auto& [to, batch] : batches) {
    const auto sent = SendBatch(context, step, batch, to.first, to.second);
    if (sent) {
      done.bytes_out += *sent;
      continue;
    }
    for (const Computed* one : batch) {
      context.outbox.TellError(sent.error(), {one->group->session->id, one->group->epoch});
    }
  }
}

}  // namespace

AdmittedStep AdmitStep(const StepContext& context, const wire::Step& step) {
  AdmittedStep admitted;
  const Status frame = CheckFrame(context.assign, step);
  const Payload payload = frame ? ReadPayload(step) : Payload{};
  auto sampling = step.sampling.begin();
  for (size_t row = 0; row < step.rows.size();) {
    const wire::Row& first = step.rows[row];
    StepGroup group{.session = nullptr, .epoch = first.epoch, .first_row = row, .rows = 0};
    for (; row < step.rows.size() && step.rows[row].session == first.session; ++row) {
      if ((step.rows[row].flags & wire::Row::kWantToken) != 0) {
        if (context.has_head) group.wanted.push_back({group.rows, &*sampling});
        ++sampling;
      }
      ++group.rows;
    }
    Status status = frame;
    if (status) {
      auto session = context.sessions.Require(first.session, first.epoch);
      if (session && (*session)->cancelled) continue;
      if (session) group.session = *std::move(session);
      status = group.session ? AdmitGroup(context, step, payload, std::move(group), admitted)
                             : Status(std::unexpected(session.error()));
    }
    if (!status) {
      context.outbox.TellError(status.error(), {.session = first.session, .epoch = first.epoch});
    }
  }
  return admitted;
}

StepDone FinishStep(const StepContext& context, const wire::Step& step,
                    const AdmittedStep& admitted, RunResult result) {
  StepDone done;
  std::vector<Computed> computed;
  for (size_t i = 0; i < admitted.groups.size(); ++i) {
    done.rows += admitted.groups[i].rows;
    auto output = Settle(context, admitted.groups[i], std::move(result[i]));
    if (output) computed.push_back({&admitted.groups[i], *std::move(output)});
  }
  if (context.has_head) {
    SendTokens(context, step, computed, done);
  } else {
    SendHidden(context, step, computed, done);
  }
  return done;
}

}  // namespace shoal::volunteer
