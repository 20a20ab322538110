// The work of every volunteer, in its turn. A volunteer is sent few frames at a time: as many as it
// finishes while one travels. What else there is waits here, where single rows of many sessions
// can be put into one frame (four rows cost a stage hardly more than one), and where a prompt's
// next chunk waits until the rows of running answers have had their turn.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/str_cat.h"
#include "swarm/speeds.h"
#include "swarm/swarm.h"

namespace shoal::swarm {

namespace {

constexpr size_t kFramesAheadMax = 4;
constexpr size_t kBulkWaitingMax = 2;  // Of one later stage, until a prompt's next chunk is sent.

std::vector<RowSpan> SpansOf(const wire::Step& step) {
  std::vector<RowSpan> spans;
  for (size_t i = 0; i < step.rows.size(); ++i) {
    const wire::Row& row = step.rows[i];
    if (spans.empty() || spans.back().session != row.session) {
      spans.push_back({row.session, row.epoch, row.position, 0, i});
    }
    ++spans.back().count;
  }
  return spans;
}

// Copies a frame's rows of one session, with their payload and sampling, to the end of another
// frame; tells where they are now.
RowSpan AddRows(const wire::Step& from, RowSpan span, wire::Step& to) {
  to.type = from.type;
  to.width = from.width;
  const size_t row_bytes = from.payload.size() / from.rows.size();
  const auto shift = [](size_t count) { return static_cast<std::ptrdiff_t>(count); };
  const size_t end = span.first + span.count;
  for (const wire::Sampling& sampling : from.sampling) {
    if (sampling.row < span.first || sampling.row >= end) continue;
    to.sampling.push_back(sampling);
    to.sampling.back().row = static_cast<uint32_t>(to.rows.size() + sampling.row - span.first);
  }
  const size_t first = to.rows.size();
  to.rows.insert(to.rows.end(), from.rows.begin() + shift(span.first),
                 from.rows.begin() + shift(end));
  to.payload.insert(to.payload.end(), from.payload.begin() + shift(span.first * row_bytes),
                    from.payload.begin() + shift(end * row_bytes));
  span.first = first;
  return span;
}

// Of a frame and the report about it together, without the time that it waited and ran there; 0
// where the report claims more than has passed.
Micros TravelTime(const FrameAway& frame, const wire::Report& report, Micros now) {
  const uint64_t passed = static_cast<uint64_t>(now - frame.sent_at);
  const uint64_t parts[] = {report.queue_us, report.compute_us, report.encode_us};
  uint64_t left = passed;
  for (const uint64_t part : parts) left -= std::min(left, part);
  return static_cast<Micros>(left);
}

// The frame, of those that the volunteer has, with the rows that begin as `rows` do.
std::deque<FrameAway>::iterator FindAway(Volunteer& volunteer, const RowSpan& rows) {
  return std::ranges::find_if(volunteer.away, [&](const FrameAway& frame) {
    return std::ranges::any_of(frame.rows, [&](const RowSpan& one) {
      return one.session == rows.session && one.epoch == rows.epoch &&
             one.position == rows.position;
    });
  });
}

Hop* FindHop(Session& session, NodeId node) {
  const auto at = std::ranges::find(session.route, node, &Hop::node);
  return at == session.route.end() ? nullptr : &*at;
}

}  // namespace

// --- Frames that stages send on ----------------------------------------------------------------

void Swarm::On(const StepPassed& event, Micros now, Effects& out) {
  const wire::Step& step = *event.step;
  const auto target = volunteers_.find(event.to);
  if (target == volunteers_.end() || !volunteers_.contains(event.from)) return;
  const auto type =
      config_.hop == wire::HopType::kF16 ? wire::PayloadType::kF16 : wire::PayloadType::kF32;
  if (step.type != type || step.width != config_.hidden) {
    const std::string what =
        StrCat("it sent hidden states of ", step.width, " values; the model has ", config_.hidden);
    return Drop(event.from, {Code::kInvalidArgument, what}, now, out);
  }
  FrameWaiting frame{.step = event.step, .frame = event.frame};
  std::vector<SessionId> wrong;
  const std::vector<RowSpan> spans = SpansOf(step);
  Volunteer& source = volunteers_.at(event.from);
  if (const auto cause = FindAway(source, spans.front()); cause != source.away.end()) {
    cause->bytes_up += event.frame->size();
  }
  for (const RowSpan& span : spans) {
    const auto at = sessions_.find(span.session);
    if (at == sessions_.end() || !at->second.running() || at->second.epoch != span.epoch) continue;
    Session& session = at->second;
    Hop* hop = FindHop(session, event.from);
    if (hop == nullptr || hop == &session.route.back() || (hop + 1)->node != event.to) continue;
    const bool is_replay = (step.rows[span.first].flags & wire::Row::kReplay) != 0;
    if (is_replay) continue;  // Of these the KV alone was wanted.
    if (span.position != hop->passed || span.position + span.count > session.fed) {
      wrong.push_back(span.session);
      continue;
    }
    hop->passed += span.count;
    Lease& lease = session.leases.at(event.from);
    lease.held = std::max(lease.held, hop->passed);
    session.progress_at = now;
    KeptInputs& kept = session.kept[(hop + 1)->span.first];
    kept_bytes_ -= kept.bytes();
    kept.Append(step, span.first, span.count, span.position);
    kept_bytes_ += kept.bytes();
    frame.is_bulk = frame.is_bulk || span.count > 1;
    frame.rows.push_back(span);
  }
  LimitKept();
  frame.is_whole = frame.rows.size() == spans.size();
  if (!frame.rows.empty()) {
    target->second.waiting.push_back(std::move(frame));
    Dispatch(event.to, now, out);
  }
  for (const SessionId id : wrong) {
    if (!sessions_.contains(id)) continue;
    Restart(id,
            {Code::kInvalidArgument,
             StrCat("volunteer ", event.from.value, " sent rows of other positions")},
            now, out);
  }
  if (!wrong.empty()) Admit(now, out);
}

void Swarm::On(const StepReported& event, Micros now, Effects& out) {
  const auto at = volunteers_.find(event.node);
  if (at == volunteers_.end()) return;
  Volunteer& volunteer = at->second;
  const wire::Report& report = event.report;
  const auto done = FindAway(volunteer, {report.session, report.epoch, report.position});
  if (done == volunteer.away.end()) return;
  const FrameAway frame = std::move(*done);
  // It works in order: what came before was not worth a report.
  volunteer.away.erase(volunteer.away.begin(), done + 1);
  volunteer.last_report = now;
  volunteer.step_failures = 0;
  std::vector<RowCount> counts;
  uint64_t row_count = 0;
  for (const RowSpan& rows : frame.rows) {
    counts.push_back({rows.position, rows.count});
    row_count += rows.count;
    const auto session = sessions_.find(rows.session);
    if (session == sessions_.end() || session->second.epoch != rows.epoch) continue;
    if (!session->second.running()) continue;
    session->second.progress_at = now;
    const auto lease = session->second.leases.find(event.node);
    if (lease == session->second.leases.end()) continue;
    lease->second.held = std::max(lease->second.held, rows.position + rows.count);
  }
  const double seconds =
      static_cast<double>(report.compute_us + report.encode_us) / static_cast<double>(kSecond);
  // Only ever a better bound: most steps travel beside others, on a busy machine.
  const Micros travel = TravelTime(frame, report, now);
  if (travel < volunteer.round_trip) ObserveRoundTrip(volunteer, travel);
  ObserveUplink(volunteer, frame.bytes_up, travel);
  out.push_back(StepCredited{event.node, row_count * volunteer.span.size()});
  volunteer.speed.Observe({WorkOf(BlocksOf(volunteer.form), volunteer.span, counts), seconds});
  Dispatch(event.node, now, out);
  // Prompts may have waited for this stage.
  std::set<NodeId> first;
  for (const SessionId id : volunteer.sessions) {
    const Session& session = sessions_.at(id);
    if (session.running() && session.fed < session.size()) {
      first.insert(session.route.front().node);
    }
  }
  first.erase(event.node);
  for (const NodeId node : first) Dispatch(node, now, out);
}

// --- What a volunteer does next ----------------------------------------------------------------

// As many frames as it finishes while a frame travels there and a report back, and one more.
size_t Swarm::FramesAhead(const Volunteer& volunteer) const {
  const double step = StepSeconds(volunteer, 0, 1);
  const double round_trip = static_cast<double>(volunteer.round_trip) / kSecond;
  const double more = std::floor(round_trip / step + 0.25);
  return 1 + static_cast<size_t>(std::min(more, static_cast<double>(kFramesAheadMax - 1)));
}

// Frames of routes that have been replaced take no time there.
size_t Swarm::FramesAwayNow(const Volunteer& volunteer) const {
  return static_cast<size_t>(std::ranges::count_if(volunteer.away, [&](const FrameAway& frame) {
    return std::ranges::any_of(frame.rows, [&](const RowSpan& rows) {
      const auto at = sessions_.find(rows.session);
      return at != sessions_.end() && at->second.running() && at->second.epoch == rows.epoch;
    });
  }));
}

void Swarm::Dispatch(NodeId node, Micros now, Effects& out) {
  const auto at = volunteers_.find(node);
  if (at == volunteers_.end()) return;
  Volunteer& volunteer = at->second;
  while (volunteer.state == VolunteerState::kReady &&
         FramesAwayNow(volunteer) < FramesAhead(volunteer)) {
    const bool bulk_first = volunteer.bulk_next;
    if (bulk_first && SendBulk(node, volunteer, now, out)) continue;
    if (SendSingles(node, volunteer, now, out)) continue;
    if (bulk_first || !SendBulk(node, volunteer, now, out)) break;
  }
  if (volunteer.state == VolunteerState::kReady && volunteer.away.empty()) {
    SendWarm(node, volunteer, now, out);
  }
}

// Rows that still have to be run there again come before any other of their session.
bool Swarm::IsBlocked(NodeId node, const std::vector<RowSpan>& rows) const {
  return std::ranges::any_of(rows, [&](const RowSpan& span) {
    const Session& session = sessions_.at(span.session);
    const auto hop = std::ranges::find(session.route, node, &Hop::node);
    return hop != session.route.end() && hop->is_behind();
  });
}

// Single rows: those that wait, the oldest first, as one frame.
bool Swarm::SendSingles(NodeId node, Volunteer& volunteer, Micros now, Effects& out) {
  std::vector<RowSpan> rows;
  if (volunteer.span.first == 0) {
    std::vector<std::pair<Micros, SessionId>> ready;
    for (const SessionId id : volunteer.sessions) {
      const Session& session = sessions_.at(id);
      if (!session.running() || session.route.front().node != node) continue;
      if (session.size() - session.fed != 1) continue;
      const Hop& hop = session.route.front();
      if (!hop.is_behind()) ready.emplace_back(session.ready_at, id);
    }
    if (ready.empty()) return false;
    std::ranges::sort(ready);
    if (ready.size() > config_.batch_rows) ready.resize(config_.batch_rows);
    wire::Step step;
    for (const auto& [since, id] : ready) {
      Session& session = sessions_.at(id);
      rows.push_back({id, session.epoch, session.fed, 1, step.rows.size()});
      AddTokenRow(id, session, session.fed++, step);
    }
    volunteer.bulk_next = true;
    Send(volunteer, std::move(rows), SendBody{node, std::move(step)}, now, out);
    return true;
  }
  std::vector<size_t> chosen;
  std::set<SessionId> passed_over;
  size_t count = 0;
  for (size_t i = 0; i < volunteer.waiting.size(); ++i) {
    const FrameWaiting& frame = volunteer.waiting[i];
    const bool overtakes = std::ranges::any_of(
        frame.rows, [&](const RowSpan& span) { return passed_over.contains(span.session); });
    const bool fits = chosen.empty() || count + frame.rows.size() <= config_.batch_rows;
    if (frame.is_bulk || overtakes || !fits || IsBlocked(node, frame.rows)) {
      for (const RowSpan& span : frame.rows) passed_over.insert(span.session);
      continue;
    }
    chosen.push_back(i);
    count += frame.rows.size();
  }
  if (chosen.empty()) return false;
  Effect effect;
  if (const FrameWaiting& only = volunteer.waiting[chosen.front()];
      chosen.size() == 1 && only.is_whole) {
    rows = only.rows;
    effect = PassOn{node, only.frame};
  } else {
    wire::Step step;
    for (const size_t i : chosen) {
      const FrameWaiting& frame = volunteer.waiting[i];
      for (const RowSpan& span : frame.rows) rows.push_back(AddRows(*frame.step, span, step));
    }
    effect = SendBody{node, std::move(step)};
  }
  for (size_t i = chosen.size(); i-- > 0;) {
    volunteer.waiting.erase(volunteer.waiting.begin() + static_cast<std::ptrdiff_t>(chosen[i]));
  }
  volunteer.bulk_next = true;
  Send(volunteer, std::move(rows), std::move(effect), now, out);
  return true;
}

// One chunk of one session: of a stage's lost KV, of a prompt on its way, or of a new prompt.
bool Swarm::SendBulk(NodeId node, Volunteer& volunteer, Micros now, Effects& out) {
  volunteer.bulk_next = false;
  if (SendReplay(node, volunteer, now, out)) return true;
  std::set<SessionId> passed_over;
  for (size_t i = 0; i < volunteer.waiting.size(); ++i) {
    FrameWaiting& frame = volunteer.waiting[i];
    const bool overtakes = std::ranges::any_of(
        frame.rows, [&](const RowSpan& span) { return passed_over.contains(span.session); });
    if (!frame.is_bulk || overtakes || IsBlocked(node, frame.rows)) {
      for (const RowSpan& span : frame.rows) passed_over.insert(span.session);
      continue;
    }
    const FrameWaiting taken = std::move(frame);
    volunteer.waiting.erase(volunteer.waiting.begin() + static_cast<std::ptrdiff_t>(i));
    if (taken.is_whole) {
      Send(volunteer, taken.rows, PassOn{node, taken.frame}, now, out);
      return true;
    }
    wire::Step step;
    std::vector<RowSpan> rows;
    for (const RowSpan& span : taken.rows) rows.push_back(AddRows(*taken.step, span, step));
    Send(volunteer, std::move(rows), SendBody{node, std::move(step)}, now, out);
    return true;
  }
  return volunteer.span.first == 0 && SendPrompt(node, volunteer, now, out);
}

bool Swarm::SendReplay(NodeId node, Volunteer& volunteer, Micros now, Effects& out) {
  for (const SessionId id : volunteer.sessions) {
    Session& session = sessions_.at(id);
    Hop* hop = FindHop(session, node);
    if (hop == nullptr || hop->imports_left > 0 || hop->replay_next >= hop->replay_to) continue;
    const uint32_t from = hop->replay_next;
    const uint32_t to = std::min(hop->replay_to, from + config_.chunk_rows);
    hop->replay_next = to;
    SendAgain(id, session, hop->span, from, to, node, now, out);
    return true;
  }
  return false;
}

// Inputs at [from, to) of a stage that holds `span`, for their KV alone.
void Swarm::SendAgain(SessionId id, Session& session, planner::Span span, uint32_t from,
                      uint32_t to, NodeId node, Micros now, Effects& out) {
  wire::Step step;
  step.width = 1;
  for (uint32_t position = from; position < to; ++position) {
    if (span.first == 0) {
      AddTokenRow(id, session, position, step);
    } else {
      step.rows.push_back({.session = id, .epoch = session.epoch, .position = position});
    }
    step.rows.back().flags = wire::Row::kReplay;
  }
  if (span.first > 0) session.kept.at(span.first).AddTo(step, from, to);
  Send(volunteers_.at(node), {{id, session.epoch, from, to - from, 0}},
       SendBody{node, std::move(step)}, now, out);
}

// The next chunk of the session whose client has been given least.
bool Swarm::SendPrompt(NodeId node, Volunteer& volunteer, Micros now, Effects& out) {
  std::optional<SessionId> next;
  double least = 0;
  for (const SessionId id : volunteer.sessions) {
    const Session& session = sessions_.at(id);
    if (!session.running() || session.route.front().node != node) continue;
    if (session.size() - session.fed < 2 || !HasRoomFor(session)) continue;
    const Hop& hop = session.route.front();
    if (hop.is_behind()) continue;
    const double served = served_.at(session.client);
    if (next && served >= least) continue;
    next = id;
    least = served;
  }
  if (!next) return false;
  Session& session = sessions_.at(*next);
  const uint32_t from = session.fed;
  const uint32_t rows = std::min(session.size() - from, config_.chunk_rows);
  wire::Step step;
  while (session.fed < from + rows) AddTokenRow(*next, session, session.fed++, step);
  served_.at(session.client) += rows;
  Send(volunteer, {{*next, session.epoch, from, rows, 0}}, SendBody{node, std::move(step)}, now,
       out);
  return true;
}

// Prompts are not piled up before a slow stage: whatever comes later would wait behind them.
bool Swarm::HasRoomFor(const Session& session) const {
  return std::ranges::all_of(session.route, [&](const Hop& hop) {
    const auto& waiting = volunteers_.at(hop.node).waiting;
    return std::ranges::count_if(waiting, &FrameWaiting::is_bulk) <
           static_cast<std::ptrdiff_t>(kBulkWaitingMax);
  });
}

// A row of the first stage; the newest token's row asks for the next.
void Swarm::AddTokenRow(SessionId id, const Session& session, uint32_t position,
                        wire::Step& step) const {
  wire::Row row{.session = id, .epoch = session.epoch, .position = position};
  if (position + 1 == session.size()) {
    row.flags = wire::Row::kWantToken;
    wire::Sampling sampling = session.sampling;
    sampling.row = static_cast<uint32_t>(step.rows.size());
    const bool penalised = sampling.repetition_penalty != 1 || sampling.frequency_penalty != 0 ||
                           sampling.presence_penalty != 0;
    if (penalised) sampling.history = session.tokens;
    if (session.allowed) sampling.mask = session.allowed(session.generated());
    step.sampling.push_back(std::move(sampling));
  }
  step.type = wire::PayloadType::kTokens;
  step.width = 1;
  step.rows.push_back(row);
  ByteWriter(step.payload).Write(session.tokens[position]);
}

void Swarm::Send(Volunteer& volunteer, std::vector<RowSpan> rows, Effect effect, Micros now,
                 Effects& out) {
  CHECK(!rows.empty());
  std::vector<RowCount> counts;
  for (const RowSpan& span : rows) counts.push_back({span.position, span.count});
  const planner::StepWork work = WorkOf(BlocksOf(volunteer.form), volunteer.span, counts);
  volunteer.away.push_back({std::move(rows), now, volunteer.speed.speed().Seconds(work)});
  out.push_back(std::move(effect));
}

// Rows of a session that wait for a volunteer are not sent any more.
void Swarm::ForgetRows(NodeId node, SessionId session) {
  const auto at = volunteers_.find(node);
  if (at == volunteers_.end()) return;
  for (FrameWaiting& frame : at->second.waiting) {
    if (std::erase_if(frame.rows, [&](const RowSpan& rows) { return rows.session == session; })) {
      frame.is_whole = false;
    }
  }
  std::erase_if(at->second.waiting, [](const FrameWaiting& frame) { return frame.rows.empty(); });
}

}  // namespace shoal::swarm
