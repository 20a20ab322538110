#include "simulator/sim_volunteer.h"

#include <algorithm>

#include "base/check.h"
#include "base/str_cat.h"
#include "simulator/toy_model.h"
#include "simulator/toy_payload.h"

namespace shoal::simulator {

namespace {

constexpr Micros kLoadReport = kSecond;
constexpr Micros kBuild = 50 * kMillisecond;

}  // namespace

SimVolunteer::SimVolunteer(NodeId node, VolunteerTraits traits, Timeline& timeline, Random random,
                           Observer& observer, Plant plant, Send send)
    : node_(node),
      traits_(std::move(traits)),
      timeline_(timeline),
      random_(random),
      observer_(observer),
      plant_(plant),
      send_(std::move(send)) {}

SimVolunteer::~SimVolunteer() {
  *alive_ = false;
  DropSessions();
}

// --- Time --------------------------------------------------------------------------------------

void SimVolunteer::Do(std::function<void()> what) {
  if (frozen_) {
    missed_.push_back(std::move(what));
  } else {
    what();
  }
}

void SimVolunteer::After(Micros delay, std::function<void()> what) {
  timeline_.After(delay, [this, alive = alive_, what = std::move(what)] {
    if (*alive) Do(what);
  });
}

void SimVolunteer::Thaw() {
  frozen_ = false;
  while (!missed_.empty() && !frozen_) {
    const std::function<void()> what = std::move(missed_.front());
    missed_.pop_front();
    const std::shared_ptr<bool> alive = alive_;
    what();
    if (!*alive) return;
  }
}

void SimVolunteer::Queue(Work work) {
  work_.push_back(std::move(work));
  if (!busy_) StartNext();
}

void SimVolunteer::QueueNow(std::function<void()> what) {
  Queue({[] { return Micros{0}; }, std::move(what)});
}

void SimVolunteer::StartNext() {
  while (!busy_ && !work_.empty()) {
    Work work = std::move(work_.front());
    work_.pop_front();
    const Micros takes = work.start() * slowness_;
    if (takes == 0) {
      work.finish();
      continue;
    }
    busy_ = true;
    After(takes, [this, finish = std::move(work.finish)] {
      finish();
      busy_ = false;
      StartNext();
    });
    return;
  }
}

// --- Frames ------------------------------------------------------------------------------------

void SimVolunteer::Receive(NodeId from, wire::Body body) {
  Do([this, from, body = std::move(body)]() mutable {
    std::visit([&](auto& frame) { On(from, frame); }, body);
  });
}

void SimVolunteer::Fail(SessionId session, Epoch epoch, Code code, std::string detail) {
  send_(kCoordinator, wire::ErrorFrame{.code = static_cast<uint8_t>(code),
                                       .session = session,
                                       .epoch = epoch,
                                       .detail = std::move(detail)});
}

HeldKv SimVolunteer::Held(SessionId id, const Session& session) const {
  const bool passes_on = session.next != kCoordinator && session.next != node_;
  return {node_, id, session.epoch, span_, passes_on};
}

void SimVolunteer::DropSessions() {
  for (const auto& [id, session] : sessions_) observer_.Closed(node_, id);
  sessions_.clear();
  closing_.clear();
}

uint64_t SimVolunteer::MemoryUsed() const {
  uint64_t positions = 0;
  for (const auto& [id, session] : sessions_) positions += session.capacity;
  uint64_t experts = 0;
  for (const wire::ExpertPart& part : assign_.experts) experts += part.groups.size();
  uint64_t weights = 0;
  for (const wire::StageFile& file : assign_.weights) weights += file.bytes;
  return weights + span_.size() * positions * traits_.kv_bytes_per_position +
         experts * traits_.expert_bytes;
}

void SimVolunteer::On(NodeId, wire::Ping& ping) {
  if (!ping.reply) send_(kCoordinator, wire::Ping{.nonce = ping.nonce, .reply = true});
}

void SimVolunteer::On(NodeId, wire::Assign& assign) {
  DropSessions();
  work_.clear();
  divided_.clear();
  assign_ = assign;
  span_ = {assign.first, assign.last};
  generation_ = assign.generation;
  loaded_ = false;
  if (span_.empty() && assign.experts.empty()) return;
  if (random_.NextDouble() < traits_.load_failures) {
    After(kSecond, [this, generation = generation_] {
      if (generation != generation_) return;
      span_ = {};
      assign_ = {};
      send_(kCoordinator, wire::ErrorFrame{.code = static_cast<uint8_t>(Code::kResourceExhausted),
                                           .generation = generation,
                                           .detail = "out of memory"});
    });
    return;
  }
  uint64_t bytes = 0;
  for (const wire::StageFile& file : assign.weights) {
    if (traits_.cached.insert(file.location).second) bytes += file.bytes;
  }
  for (const wire::ExpertPart& part : assign.experts) {
    bytes += part.groups.size() * traits_.expert_bytes;
  }
  LoadOn(generation_, 0, bytes);
}

void SimVolunteer::LoadOn(uint32_t generation, uint64_t done, uint64_t total) {
  if (generation != generation_) return;
  if (done >= total) {
    After(kBuild, [this, generation, total] {
      if (generation != generation_) return;
      loaded_ = true;
      observer_.MemoryUsed(node_, MemoryUsed(), traits_.memory_bytes);
      send_(kCoordinator, wire::Ready{.generation = generation,
                                      .done = true,
                                      .bytes_done = total,
                                      .bytes_total = total,
                                      .bytes_fetched = total});
    });
    return;
  }
  send_(kCoordinator,
        wire::Ready{.generation = generation, .bytes_done = done, .bytes_total = total});
  const auto part = static_cast<uint64_t>(traits_.load_bytes_per_second *
                                          static_cast<double>(kLoadReport) / kSecond);
  const uint64_t next = std::min(total, done + std::max<uint64_t>(part, 1));
  const auto takes = static_cast<Micros>(static_cast<double>(next - done) * kSecond /
                                         traits_.load_bytes_per_second);
  After(takes, [this, generation, next, total] { LoadOn(generation, next, total); });
}

// --- Sessions ----------------------------------------------------------------------------------

void SimVolunteer::On(NodeId, wire::Open& open) {
  if (!loaded_ || open.generation != generation_) {
    // The coordinator knows every generation that it gave and every one that became ready.
    if (!loaded_ && open.generation == generation_) {
      observer_.Misdirected(node_, "a session for blocks that have not been loaded");
    }
    Fail(open.session, open.epoch, Code::kFailedPrecondition, "another assignment is held");
    return;
  }
  const auto known = sessions_.find(open.session);
  if (known != sessions_.end() && open.epoch <= known->second.epoch) {
    Fail(open.session, open.epoch, Code::kStaleEpoch, "older than what is open");
    return;
  }
  if (known == sessions_.end() && open.keep != 0) {
    Fail(open.session, open.epoch, Code::kOutOfRange, "nothing is held of it");
    return;
  }
  const uint32_t before = known == sessions_.end() ? 0 : known->second.capacity;
  const uint64_t used = MemoryUsed() + span_.size() * traits_.kv_bytes_per_position *
                                           (uint64_t{open.capacity} - before);
  observer_.MemoryUsed(node_, used, traits_.memory_bytes);
  if (used > traits_.memory_bytes) {
    Fail(open.session, open.epoch, Code::kResourceExhausted, "no room for its KV");
    return;
  }
  Session& session = sessions_[open.session];
  session.epoch = open.epoch;
  session.next = open.next;
  session.capacity = open.capacity;
  session.cancelled = false;
  session.failed = false;
  session.cache.resize(span_.size());
  observer_.Opened(Held(open.session, session));
  const auto cut = [this, id = open.session, epoch = open.epoch, keep = open.keep] {
    Truncate(id, epoch, keep);
  };
  if (plant_ == Plant::kLateRollback && open.keep > 0 && random_.Below(2) == 0) {
    After(20 * kMillisecond, [this, cut] { QueueNow(cut); });
  } else {
    QueueNow(cut);
  }
}

void SimVolunteer::Truncate(SessionId id, Epoch epoch, uint32_t length) {
  const auto at = sessions_.find(id);
  if (at == sessions_.end() || at->second.epoch != epoch) return;
  Session& session = at->second;
  if (length > session.held) {
    Fail(id, epoch, Code::kOutOfRange,
         StrCat("asked to keep ", length, " positions, ", session.held, " are held"));
    return;
  }
  if (plant_ == Plant::kStaleKv) {
    session.stale = std::max(session.stale, session.held);
  } else {
    for (std::vector<uint64_t>& block : session.cache) block.resize(length);
  }
  session.held = length;
  if (session.outputs.size() > length) session.outputs.resize(length);
  session.outputs_from = std::min(session.outputs_from, length);
}

void SimVolunteer::On(NodeId, wire::Cancel& cancel) {
  const auto at = sessions_.find(cancel.session);
  if (at != sessions_.end() && at->second.epoch == cancel.epoch) at->second.cancelled = true;
}

void SimVolunteer::On(NodeId, wire::Release& release) {
  const auto at = sessions_.find(release.session);
  if (at == sessions_.end()) return;
  observer_.Closed(node_, release.session);
  closing_.emplace(release.session, std::move(at->second));
  sessions_.erase(at);
  QueueNow([this, id = release.session] { closing_.erase(closing_.lower_bound(id)); });
}

void SimVolunteer::On(NodeId, wire::Rollback& rollback) {
  QueueNow([this, rollback] { Truncate(rollback.session, rollback.epoch, rollback.position); });
}

// --- Steps -------------------------------------------------------------------------------------

void SimVolunteer::On(NodeId, wire::Step& step) {
  // Both parts of the work look at the same step and at what the first made of it.
  struct Running {
    wire::Step step;
    uint32_t generation;
    std::vector<Group> groups;
  };
  const auto running = std::make_shared<Running>(Running{std::move(step), generation_, {}});
  Queue({[this, running]() -> Micros {
           if (!loaded_ || running->generation != generation_) return 0;
           running->groups = RunGroups(running->step);
           size_t rows = 0;
           for (const Group& group : running->groups) rows += group.count;
           if (rows == 0) return 0;
           return traits_.fixed + static_cast<Micros>(rows * span_.size()) * traits_.block_row;
         },
         [this, running] {
           if (running->generation != generation_) return;
           if (assign_.parts.empty()) return SendResults(running->step, running->groups);
           StartDivided(std::move(running->step), std::move(running->groups));
         }});
}

std::vector<SimVolunteer::Group> SimVolunteer::RunGroups(const wire::Step& step) {
  std::vector<Group> groups;
  for (size_t first = 0; first < step.rows.size();) {
    const wire::Row& row = step.rows[first];
    size_t end = first + 1;
    while (end < step.rows.size() && step.rows[end].session == row.session) ++end;
    Group group{row.session, row.epoch, first, end - first, row.position, {}};
    first = end;
    if (!Admit(group)) continue;
    if (random_.NextDouble() < traits_.step_failures) {
      sessions_.at(group.session).failed = true;
      Fail(group.session, group.epoch, Code::kInternal, "the device was lost");
      continue;
    }
    Session& session = sessions_.at(group.session);
    for (size_t i = 0; i < group.count; ++i) {
      group.outputs.push_back(RunRow(session, ReadInput(step, group.first + i)));
    }
    observer_.Computed(Held(group.session, session), group.position,
                       static_cast<uint32_t>(group.count));
    groups.push_back(std::move(group));
  }
  return groups;
}

bool SimVolunteer::Admit(const Group& group) {
  const auto at = sessions_.find(group.session);
  if (at == sessions_.end()) {
    Fail(group.session, group.epoch, Code::kNotFound, "not open here");
    return false;
  }
  const Session& session = at->second;
  const bool old = group.epoch < session.epoch;
  if (old && plant_ != Plant::kAcceptOldEpoch) {
    Fail(group.session, group.epoch, Code::kStaleEpoch, "the route was replaced");
    return false;
  }
  if (group.epoch > session.epoch) {
    observer_.Misdirected(node_, "a row of an epoch that was not opened here");
    Fail(group.session, group.epoch, Code::kFailedPrecondition, "not opened yet");
    return false;
  }
  if (session.cancelled) return false;
  if (group.position != session.held) {
    if (!old && !session.failed)
      observer_.OutOfPlace(Held(group.session, session), group.position, session.held);
    Fail(group.session, group.epoch, Code::kFailedPrecondition,
         StrCat("position ", group.position, " came, ", session.held, " is next"));
    return false;
  }
  if (group.position + group.count > session.capacity) {
    Fail(group.session, group.epoch, Code::kOutOfRange, "past the session's capacity");
    return false;
  }
  return true;
}

uint64_t SimVolunteer::RunRow(Session& session, uint64_t input) {
  const uint32_t position = session.held;
  uint64_t hidden = input;
  for (uint32_t i = 0; i < span_.size(); ++i) {
    std::vector<uint64_t>& cache = session.cache[i];
    uint64_t before = position == 0 ? 0 : cache[position - 1];
    // Plant::kStaleKv: what was there counts as if it came before.
    if (position < session.stale && position < cache.size()) before = cache[position];
    const uint64_t entry = CacheEntry(before, hidden);
    if (cache.size() == position) {
      cache.push_back(entry);
    } else {
      cache[position] = entry;
    }
    hidden = BlockOutput(span_.first + i, entry);
  }
  ++session.held;
  if (session.outputs.size() < position) session.outputs.resize(position);
  session.outputs.push_back(hidden);
  return hidden;
}

void SimVolunteer::SendResults(const wire::Step& step, const std::vector<Group>& groups) {
  std::map<NodeId, wire::Step> onward;
  std::vector<wire::Token> tokens;
  for (const Group& group : groups) {
    const auto at = sessions_.find(group.session);
    if (at == sessions_.end()) continue;
    const Session& session = at->second;
    const bool current = session.epoch == group.epoch || plant_ == Plant::kAcceptOldEpoch;
    if (!current || session.cancelled) continue;
    for (size_t i = 0; i < group.count; ++i) {
      const wire::Row& row = step.rows[group.first + i];
      if ((row.flags & wire::Row::kReplay) != 0) continue;
      if (session.next == node_) {
        observer_.Misdirected(node_, "a row to be passed on, where KV is only kept");
        continue;
      }
      if (session.next == kCoordinator) {
        if ((row.flags & wire::Row::kWantToken) == 0) continue;
        if (!IsHead()) {
          observer_.Misdirected(node_, "a token was asked of blocks without the head");
          continue;
        }
        observer_.Sampled(Held(group.session, session), row.position + 1);
        tokens.push_back({.session = group.session,
                          .epoch = group.epoch,
                          .position = row.position + 1,
                          .token = TokenOf(group.outputs[i])});
        continue;
      }
      wire::Step& next = onward[session.next];
      for (const wire::Sampling& sampling : step.sampling) {
        if (sampling.row != group.first + i) continue;
        next.sampling.push_back(sampling);
        next.sampling.back().row = static_cast<uint32_t>(next.rows.size());
      }
      next.type = wire::PayloadType::kF32;
      next.width = kHiddenWidth;
      next.rows.push_back(row);
      WriteHidden(group.outputs[i], next.payload);
    }
  }
  for (wire::Token& token : tokens) send_(kCoordinator, std::move(token));
  for (auto& [next, message] : onward) send_(next, std::move(message));
  if (groups.empty()) return;
  uint32_t rows = 0;
  for (const Group& group : groups) rows += static_cast<uint32_t>(group.count);
  send_(kCoordinator,
        wire::Report{.session = groups.front().session,
                     .epoch = groups.front().epoch,
                     .position = groups.front().position,
                     .rows = rows,
                     .first = span_.first,
                     .last = span_.last,
                     .compute_us = static_cast<uint64_t>(
                         slowness_ * (traits_.fixed + rows * span_.size() * traits_.block_row))});
}

}  // namespace shoal::simulator
