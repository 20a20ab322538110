// What one frame's fields must be to each other.

#include "base/str_cat.h"
#include "wire/bodies.h"
#include "wire/codec.h"
#include "wire/fields_size.h"
#include "wire/names.h"

namespace shoal::wire {
namespace {

constexpr uint8_t kKnownRowFlags = Row::kWantToken | Row::kReplay;

Status Invalid(std::string detail) { return Fail(Code::kInvalidArgument, std::move(detail)); }

Status CheckSize(std::string_view field, uint64_t size, uint64_t limit) {
  if (size <= limit) return {};
  return Fail(Code::kResourceExhausted, StrCat(field, ": ", size, ", at most ", limit));
}

Status CheckRange(std::string_view frame, std::string_view first_name, uint32_t first,
                  std::string_view last_name, uint32_t last, bool may_be_empty) {
  if (first < last || (may_be_empty && first == last)) return {};
  return Invalid(StrCat(frame, ".", first_name, ": ", first, ", which is not ",
                        may_be_empty ? "at most " : "before ", last_name, " ", last));
}

// A path that is built only when something is wrong there.
template <typename... Parts>
Status InvalidAt(size_t index, std::string_view list, const Parts&... detail) {
  return Invalid(StrCat(list, "[", index, "]", detail...));
}

size_t ElementBytes(PayloadType type) { return type == PayloadType::kF16 ? 2 : 4; }
size_t ElementBytes(HopType type) { return type == HopType::kF16 ? 2 : 4; }

Status CheckRows(const std::vector<Row>& rows) {
  if (rows.empty()) return Invalid("step.rows: empty; a step has at least one row");
  RETURN_IF_ERROR(CheckSize("step.rows", rows.size(), kLimits.rows));
  for (size_t i = 0; i < rows.size(); ++i) {
    if ((rows[i].flags & ~kKnownRowFlags) != 0) {
      return InvalidAt(i, "step.rows", ".flags: ", rows[i].flags, " has unknown bits");
    }
    if (i == 0 || rows[i].session != rows[i - 1].session) continue;
    if (rows[i].position <= rows[i - 1].position) {
      return InvalidAt(i, "step.rows", ".position: ", rows[i].position,
                       " does not follow the session's row before it, ", rows[i - 1].position);
    }
    if (rows[i].epoch != rows[i - 1].epoch) {
      return InvalidAt(i, "step.rows", ".epoch: ", rows[i].epoch.value,
                       ", the session's row before it has ", rows[i - 1].epoch.value);
    }
  }
  return {};
}

Status CheckSampling(const Step& step) {
  RETURN_IF_ERROR(CheckSize("step.sampling", step.sampling.size(), step.rows.size()));
  size_t next = 0;
  for (size_t row = 0; row < step.rows.size(); ++row) {
    if ((step.rows[row].flags & Row::kWantToken) == 0) continue;
    if (next == step.sampling.size()) {
      return Invalid(StrCat("step.sampling: no item for row ", row, ", which wants a token"));
    }
    const Sampling& sampling = step.sampling[next];
    if (sampling.row != row) {
      return InvalidAt(next, "step.sampling", ".row: ", sampling.row,
                       ", but the next row that wants a token is ", row);
    }
    RETURN_IF_ERROR(
        CheckSize("step.sampling.top_logprobs", sampling.top_logprobs, kTopLogprobsMax));
    RETURN_IF_ERROR(
        CheckSize("step.sampling.history", sampling.history.size(), kLimits.list_items));
    RETURN_IF_ERROR(CheckSize("step.sampling.biases", sampling.biases.size(), kLimits.list_items));
    RETURN_IF_ERROR(CheckSize("step.sampling.mask", sampling.mask.size(), kLimits.list_items));
    ++next;
  }
  if (next < step.sampling.size()) {
    return InvalidAt(next, "step.sampling", ".row: ", step.sampling[next].row,
                     " is not a row that wants a token");
  }
  return {};
}

Status Check(const Step& step) {
  RETURN_IF_ERROR(CheckRows(step.rows));
  RETURN_IF_ERROR(CheckSampling(step));
  if (!EnumName(step.type)) return Invalid("step.type: not known");
  if (step.width == 0) return Invalid("step.width: 0");
  if (step.type == PayloadType::kTokens && step.width != 1) {
    return Invalid(StrCat("step.width: ", step.width, "; tokens have width 1"));
  }
  const uint64_t needed = uint64_t{step.rows.size()} * step.width * ElementBytes(step.type);
  if (step.payload.size() != needed) {
    return Invalid(StrCat("step.payload: ", step.payload.size(), " bytes; ", step.rows.size(),
                          " rows of ", step.width, " ", *EnumName(step.type), " need ", needed));
  }
  return {};
}

Status Check(const KvImport& kv) {
  RETURN_IF_ERROR(CheckRange("kv-import", "from", kv.from, "to", kv.to, false));
  if (!EnumName(kv.type)) return Invalid("kv-import.type: not known");
  // Heads and head size are known from the assignment, not here.
  const uint64_t unit = 2 * uint64_t{kv.to - kv.from} * ElementBytes(kv.type);
  if (kv.payload.empty() || kv.payload.size() % unit != 0) {
    return Invalid(StrCat("kv-import.payload: ", kv.payload.size(), " bytes, no multiple of ", unit,
                          " (keys and values of ", kv.to - kv.from, " positions)"));
  }
  return {};
}

Status Check(const Hello& hello) {
  if (hello.version_min == 0 || hello.version_min > hello.version_max) {
    return Invalid(StrCat("hello.version_min: ", hello.version_min, "; versions start at 1, and ",
                          "version_max is ", hello.version_max));
  }
  return CheckSize("hello.resume_token", hello.resume_token.size(), kResumeTokenBytesMax);
}

Status Check(const Profile& profile) {
  RETURN_IF_ERROR(CheckSize("profile.measures", profile.measures.size(), kLimits.list_items));
  return CheckSize("profile.cached", profile.cached.size(), kLimits.list_items);
}

// Parts and experts in order of their blocks.
Status CheckParts(const Assign& assign) {
  RETURN_IF_ERROR(CheckSize("assign.parts", assign.parts.size(), kLimits.list_items));
  for (size_t i = 0; i < assign.parts.size(); ++i) {
    const StagePart& part = assign.parts[i];
    if (part.block < assign.first || part.block >= assign.last || part.experts == 0 ||
        (i > 0 && part.block <= assign.parts[i - 1].block)) {
      return InvalidAt(i, "assign.parts", ".block: ", part.block, " with ", part.experts,
                       " experts, in a stage [", assign.first, ", ", assign.last, ")");
    }
  }
  RETURN_IF_ERROR(CheckSize("assign.experts", assign.experts.size(), kLimits.list_items));
  for (size_t i = 0; i < assign.experts.size(); ++i) {
    const ExpertPart& part = assign.experts[i];
    const bool follows = i == 0 || part.block > assign.experts[i - 1].block;
    if (!follows || part.groups.empty() || assign.first != assign.last) {
      return InvalidAt(i, "assign.experts", ".block: ", part.block);
    }
    uint64_t end = 0;
    for (const ExpertRange& range : part.groups) {
      const bool is_next = &range == &part.groups.front() || range.group > (&range - 1)->group;
      if (!is_next || range.first < end || range.count == 0) {
        return InvalidAt(i, "assign.experts", ".groups: group ", range.group);
      }
      end = uint64_t{range.first} + range.count;
    }
    if (end > part.experts || part.experts > kLimits.list_items) {
      return InvalidAt(i, "assign.experts", ": ", end, " of ", part.experts, " experts");
    }
  }
  return {};
}

Status Check(const Assign& assign) {
  RETURN_IF_ERROR(CheckRange("assign", "first", assign.first, "last", assign.last, true));
  RETURN_IF_ERROR(CheckSize("assign.weights", assign.weights.size(), kLimits.list_items));
  for (size_t i = 0; i < assign.kv.size(); ++i) {
    const KvSlot& slot = assign.kv[i];
    if (slot.block < assign.first || slot.block >= assign.last) {
      return InvalidAt(i, "assign.kv", ".block: ", slot.block, " is not among blocks [",
                       assign.first, ", ", assign.last, ")");
    }
  }
  RETURN_IF_ERROR(CheckSize("assign.kv", assign.kv.size(), kLimits.list_items));
  return CheckParts(assign);
}

Status CheckPayload(std::string_view frame, HopType type, uint32_t rows, uint32_t width,
                    size_t bytes) {
  if (!EnumName(type)) return Invalid(StrCat(frame, ".type: not known"));
  if (rows == 0 || width == 0) return Invalid(StrCat(frame, ": no rows, or rows of nothing"));
  RETURN_IF_ERROR(CheckSize(StrCat(frame, ".rows"), rows, kLimits.rows));
  const uint64_t needed = uint64_t{rows} * width * ElementBytes(type);
  if (bytes == needed) return {};
  return Invalid(StrCat(frame, ".payload: ", bytes, " bytes; ", rows, " rows of ", width, " ",
                        *EnumName(type), " need ", needed));
}

Status Check(const ExpertTable& table) {
  if (!EnumName(table.hop)) return Invalid("expert-table.hop: not known");
  RETURN_IF_ERROR(CheckSize("expert-table.holders", table.holders.size(), kLimits.list_items));
  uint64_t end = 0;
  for (size_t i = 0; i < table.holders.size(); ++i) {
    const ExpertHolder& holder = table.holders[i];
    const bool is_first = i == 0 || holder.block > table.holders[i - 1].block;
    const bool follows = is_first ? holder.group == 0 && holder.first == 0
                                  : holder.block == table.holders[i - 1].block &&
                                        holder.group == table.holders[i - 1].group + 1 &&
                                        holder.first == end;
    if (!follows || holder.count == 0) {
      return InvalidAt(i, "expert-table.holders", ": group ", holder.group, " of block ",
                       holder.block, " with experts ", holder.first, " + ", holder.count,
                       " does not follow the one before it");
    }
    end = uint64_t{holder.first} + holder.count;
    if (end > kLimits.list_items)
      return InvalidAt(i, "expert-table.holders", ": ", end, " experts");
  }
  return {};
}

// Rows in order, each with choices in order.
Status CheckChoices(const ExpertRows& rows) {
  RETURN_IF_ERROR(CheckSize("expert-rows.choices", rows.choices.size(), kLimits.list_items));
  uint32_t row = 0;
  for (size_t i = 0; i < rows.choices.size(); ++i) {
    const ExpertChoice& choice = rows.choices[i];
    const bool stays = i > 0 && choice.row == row && choice.expert > rows.choices[i - 1].expert;
    const bool moves = i == 0 ? choice.row == 0 : choice.row == row + 1;
    if ((!stays && !moves) || choice.weight == 0) {
      return InvalidAt(i, "expert-rows.choices", ": expert ", choice.expert, " of row ", choice.row,
                       choice.weight == 0 ? " counts nothing" : " does not follow the one before");
    }
    row = choice.row;
  }
  if (rows.choices.empty() || row != rows.rows - 1) {
    return Invalid(StrCat("expert-rows.choices: not for all of ", rows.rows, " rows"));
  }
  return {};
}

Status Check(const ExpertRows& rows) {
  RETURN_IF_ERROR(
      CheckPayload("expert-rows", rows.type, rows.rows, rows.width, rows.payload.size()));
  return CheckChoices(rows);
}

Status Check(const ExpertSums& sums) {
  return CheckPayload("expert-sums", sums.type, sums.rows, sums.width, sums.payload.size());
}

Status Check(const ExpertRefusal& refusal) {
  if (IsValidCode(refusal.code)) return {};
  return Invalid(StrCat("expert-refusal.code: ", refusal.code, " is not known"));
}

Status Check(const ExpertUsage& usage) {
  return CheckSize("expert-usage.groups", usage.groups.size(), kLimits.list_items);
}

Status Check(const Open& open) {
  if (!EnumName(open.hop)) return Invalid("open.hop: not known");
  return CheckSize("open.keep", open.keep, open.capacity);
}

Status Check(const Token& token) {
  return CheckSize("token.top", token.top.size(), kTopLogprobsMax);
}

Status Check(const KvExport& kv) {
  RETURN_IF_ERROR(CheckRange("kv-export", "first", kv.first, "last", kv.last, false));
  return CheckRange("kv-export", "from", kv.from, "to", kv.to, false);
}

Status Check(const KvCopy& copy) {
  if (copy.positions == 0) return Invalid("kv-copy.positions: nothing to copy");
  if (copy.source == copy.session) return Invalid("kv-copy.source: the session itself");
  return {};
}

Status Check(const Replay& replay) {
  return CheckRange("replay", "from", replay.from, "to", replay.to, false);
}

Status Check(const ErrorFrame& error) {
  if (IsValidCode(error.code)) return {};
  return Invalid(StrCat("error.code: ", error.code, " is not known"));
}

Status Check(const Report& report) {
  return CheckRange("report", "first", report.first, "last", report.last, true);
}

// Any values go together in the others; what ready says of its progress is a claim.
template <typename BodyType>
Status Check(const BodyType&) {
  return {};
}

}  // namespace

Status Validate(const Frame& frame) {
  RETURN_IF_ERROR(CheckSize(KindName(KindOf(frame.body)),
                            kHeaderBytes + WireBytesAtMost(HeldBody(frame.body)),
                            kLimits.frame_bytes));
  return std::visit([](const auto& body) { return Check(body); }, frame.body);
}

}  // namespace shoal::wire
