#include "volunteer/node.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "base/str_cat.h"
#include "net/client.h"
#include "volunteer/divided_steps.h"
#include "volunteer/expert_holder.h"
#include "volunteer/outbox.h"
#include "volunteer/session_gate.h"
#include "volunteer/session_table.h"
#include "volunteer/stage_keeper.h"
#include "volunteer/step.h"
#include "volunteer/thread_pool.h"
#include "volunteer/work_queue.h"
#include "volunteer/work_thread.h"
#include "wire/codec.h"

namespace shoal::volunteer {

namespace {

// How long a leave frame may wait for its bye: sessions are handed over before it comes.
constexpr net::Duration kLeave = std::chrono::seconds(15);
// After a bye that we did not ask for.
constexpr net::Duration kByePause = std::chrono::seconds(2);
constexpr size_t kCachedMax = 1 << 16;  // A coordinator takes no longer list.

struct Addresses {
  std::string socket;  // ws or wss, with the volunteers' path.
  std::string files;   // http or https, without a path.
};

Result<Addresses> AddressesOf(std::string_view url) {
  ASSIGN_OR_RETURN(const net::Url parsed, net::ParseUrl(url));
  const std::string authority = parsed.authority();
  // A port that is its scheme's own is left out; both schemes of a pair have the same.
  const char* const secure = parsed.is_secure() ? "s" : "";
  return Addresses{StrCat("ws", secure, "://", authority, "/volunteer"),
                   StrCat("http", secure, "://", authority)};
}

// Errors of the connection that coming back does not mend.
bool IsFinal(Code code) {
  return code == Code::kFailedPrecondition || code == Code::kPermissionDenied ||
         code == Code::kUnimplemented || code == Code::kInvalidArgument;
}

// The session or assignment that an error about `body` names.
ErrorAbout AboutOf(const wire::Body& body) {
  ErrorAbout about;
  std::visit(
      [&about](const auto& frame) {
        if constexpr (requires { frame.session; }) about.session = frame.session;
        if constexpr (requires { frame.session, frame.epoch; }) about.epoch = frame.epoch;
      },
      body);
  if (const auto* assign = std::get_if<wire::Assign>(&body)) about.generation = assign->generation;
  return about;
}

}  // namespace

struct Node::Impl {
  Impl(net::EventLoop& event_loop, NodeOptions given, NodeEvents told, BlobCache blob_cache,
       const Addresses& addresses)
      : loop(event_loop),
        options(std::move(given)),
        events(std::move(told)),
        cache(std::move(blob_cache)),
        pool(options.threads),
        work(event_loop),
        gate(queue),
        outbox([this](std::shared_ptr<const ByteVector> bytes) { link.Send(std::move(bytes)); }),
        divided({.loop = loop, .work = work, .queue = queue, .outbox = outbox}),
        experts({.loop = loop, .work = work, .queue = queue, .outbox = outbox},
                [this](const ExpertHolder::Served& served) {
                  ++counters.steps;
                  counters.rows += served.rows;
                  counters.compute_us += served.compute_us;
                }),
        keeper({.loop = loop,
                .work = work,
                .cache = cache,
                .outbox = outbox,
                .sessions = sessions,
                .queue = queue,
                .parallel = pool,
                .origin = {.url = addresses.files, .tls = {.ca_file = options.ca_file}},
                .memory_bytes = options.memory_bytes,
                .engine = options.engine},
               {.on_progress = events.on_progress,
                .on_holding = events.on_holding,
                .on_problem = events.on_problem}),
        link(loop, {.url = addresses.socket, .tls = {.ca_file = options.ca_file}},
             {.on_open = [this] { SayHello(); },
              .on_message =
                  [this](const std::shared_ptr<ByteVector>& message) { OnMessage(*message); },
              .on_silence = [this] { outbox.Tell(wire::Ping{.nonce = 1, .reply = false}); },
              .on_lost = [this](const std::string& reason,
                                net::Duration retry) { OnLost(reason, retry); }}),
        leave_limit(loop) {}

  // --- The connection --------------------------------------------------------------------------

  void SayHello() {
    welcomed = false;
    outbox.Tell(wire::Hello{
        .agent = options.agent, .join_secret = options.join_secret, .resume_token = resume_token});
  }

  void SendProfile() {
    outbox.Tell(wire::Profile{.executor = "shoal",
                              .memory_bytes = options.memory_bytes,
                              .threads = static_cast<uint32_t>(options.threads),
                              .platform = options.platform,
                              .measures = options.measures,
                              .cached = cache.List(kCachedMax)});
  }

  void OnLost(const std::string& reason, net::Duration retry) {
    welcomed = false;
    if (on_left) return End(NodeState::kStopped, reason);
    const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(retry).count() / 100;
    events.on_state(NodeState::kReconnecting,
                    StrCat(reason, "; next attempt in ", tenths / 10, ".", tenths % 10, " s"));
  }

  // Not from within a callback of the link, which goes on after it.
  void End(NodeState state, const std::string& detail) {
    if (over) return;
    over = true;
    leave_limit.Cancel();
    keeper.Forget();
    link.Close(detail);
    events.on_state(state, detail);
    if (on_left) loop.Post(std::exchange(on_left, nullptr));
  }

  Status OnWelcome(const wire::Hello& hello, NodeId to) {
    if (hello.version_min > wire::kVersion || hello.version_max < wire::kVersion) {
      const Error error{Code::kUnimplemented,
                        StrCat("the coordinator speaks wire versions ", hello.version_min, " to ",
                               hello.version_max, ", this program speaks ", wire::kVersion,
                               ": update the older one")};
      outbox.TellError(error);
      End(NodeState::kRefused, error.detail);
      return {};
    }
    const NodeId node = hello.node == kCoordinator ? to : hello.node;
    if (node == kCoordinator) {
      link.Drop("the coordinator gave no node number");
      return {};
    }
    // Another number: the coordinator does not know us any more, nor our sessions.
    if (node != outbox.node) {
      keeper.Forget();
      divided.DropAll();
    }
    outbox.node = node;
    resume_token = hello.resume_token;
    welcomed = true;
    link.Settled();
    SendProfile();
    events.on_state(NodeState::kConnected, "");
    return {};
  }

  void OnBye(const std::string& reason) {
    if (on_left) return End(NodeState::kStopped, reason);
    link.Drop(reason.empty() ? "the coordinator said bye" : reason, kByePause);
  }

  void OnError(const wire::ErrorFrame& frame) {
    const Error error{static_cast<Code>(frame.code), frame.detail};
    if (!welcomed && frame.session == SessionId{} && IsFinal(error.code)) {
      return End(NodeState::kRefused, error.detail);
    }
    events.on_problem(error);
  }

  // --- Frames ----------------------------------------------------------------------------------

  void OnMessage(Bytes message) {
    if (over) return;
    const int64_t arrived_us = loop.NowUs();
    counters.bytes_in += message.size();
    Result<wire::Frame> frame = wire::Decode(message);
    if (!frame) {
      events.on_problem(frame.error());
      outbox.TellError(frame.error());
      return;
    }
    const ErrorAbout about = AboutOf(frame->body);
    std::set<std::pair<SessionId, Epoch>> step_sessions;
    if (const auto* step = std::get_if<wire::Step>(&frame->body)) {
      for (const wire::Row& row : step->rows) step_sessions.emplace(row.session, row.epoch);
    }
    const Status status = OnFrame(*std::move(frame), message.size(), arrived_us);
    if (status) return;
    events.on_problem(status.error());
    // The step as a whole failed: every session in it is told.
    for (const auto& [session, epoch] : step_sessions) {
      outbox.TellError(status.error(), {.session = session, .epoch = epoch});
    }
    if (step_sessions.empty()) outbox.TellError(status.error(), about);
  }

  Status OnFrame(wire::Frame frame, size_t bytes, int64_t arrived_us) {
    wire::Body& body = frame.body;
    if (const auto* ping = std::get_if<wire::Ping>(&body)) {
      if (!ping->reply) outbox.Tell(wire::Ping{.nonce = ping->nonce, .reply = true});
      return {};
    }
    if (const auto* bye = std::get_if<wire::Bye>(&body)) return OnBye(bye->reason), Status();
    if (const auto* error = std::get_if<wire::ErrorFrame>(&body)) return OnError(*error), Status();
    if (const auto* hello = std::get_if<wire::Hello>(&body)) return OnWelcome(*hello, frame.to);
    const std::string_view kind = wire::KindName(wire::KindOf(body));
    if (!welcomed) {
      return Fail(Code::kFailedPrecondition, StrCat("a ", kind, " frame came before hello"));
    }
    if (frame.to != outbox.node) {
      return Fail(Code::kInvalidArgument,
                  StrCat("a frame for node ", frame.to.value, " came to node ", outbox.node.value));
    }
    if (auto* assign = std::get_if<wire::Assign>(&body)) {
      const Status status = keeper.Assign(std::move(*assign));
      if (!keeper.held()) divided.DropAll();
      return status;
    }
    if (const auto* open = std::get_if<wire::Open>(&body)) return OnOpen(*open);
    if (auto* step = std::get_if<wire::Step>(&body)) {
      return OnStep(std::move(*step), bytes, arrived_us);
    }
    if (const auto* cancel = std::get_if<wire::Cancel>(&body)) {
      sessions.Cancel(*cancel);
      divided.DropUnwanted();
      return {};
    }
    if (const auto* release = std::get_if<wire::Release>(&body)) {
      OnRelease(release->session);
      return {};
    }
    if (const auto* rollback = std::get_if<wire::Rollback>(&body)) return OnRollback(*rollback);
    if (auto* table = std::get_if<wire::ExpertTable>(&body)) {
      if (frame.from != kCoordinator) {
        return Fail(Code::kPermissionDenied, "only the coordinator says who holds experts");
      }
      divided.OnTable(std::move(*table));
      return {};
    }
    if (auto* rows = std::get_if<wire::ExpertRows>(&body)) {
      experts.OnRows(keeper.held(), frame.from, std::move(*rows), bytes);
      return {};
    }
    if (const auto* sums = std::get_if<wire::ExpertSums>(&body)) {
      divided.OnSums(frame.from, *sums);
      return {};
    }
    if (const auto* refusal = std::get_if<wire::ExpertRefusal>(&body)) {
      divided.OnRefusal(frame.from, *refusal);
      return {};
    }
    if (const auto* request = std::get_if<wire::KvExport>(&body)) return OnKvExport(*request);
    if (auto* part = std::get_if<wire::KvImport>(&body)) {
      return OnKvImport(std::move(*part), bytes);
    }
    if (const auto* copy = std::get_if<wire::KvCopy>(&body)) return OnKvCopy(*copy);
    if (std::holds_alternative<wire::Replay>(body)) {
      return Fail(Code::kUnimplemented, StrCat("this volunteer does not do ", kind, " yet"));
    }
    return Fail(Code::kInvalidArgument, StrCat("a ", kind, " frame is not for volunteers"));
  }

  // --- Sessions --------------------------------------------------------------------------------

  // Queues `job` of a session for the work thread, and what is to be done with its status. Nothing
  // happens when the stage has been replaced by then.
  void OnStage(SessionId id, std::function<Status(StageRunner&)> job,
               std::function<void(Status)> then) {
    InTurn(id, [this, held = keeper.held(), job = std::move(job),
                then = std::move(then)](WorkQueue::Done done) {
      if (!held || held != keeper.held() || !held->runner) return done();
      const auto status = std::make_shared<Status>();
      work.Do([held, job, status] { *status = job(*held->runner); },
              [status, then, done = std::move(done)] {
                then(*status);
                done();
              });
    });
  }

  // Queues work for one session that takes one turn.
  void InTurn(SessionId id, WorkQueue::Work piece) {
    gate.PushAlways({id}, 0, SessionGate::OneTurn(std::move(piece)));
  }

  Status OnOpen(const wire::Open& open) {
    ASSIGN_OR_RETURN(const SessionTable::Opened opened, sessions.Open(open));
    divided.DropUnwanted();
    if (!opened.is_new) {
      Truncate(open.session, open.epoch, open.keep);
      return {};
    }
    const SessionPtr session = opened.session;
    OnStage(
        session->id,
        [session](StageRunner& runner) { return runner.Open(session->kv, session->capacity); },
        [this, session, epoch = open.epoch](Status status) {
          if (status) return;
          events.on_problem(status.error());
          outbox.TellError(status.error(), {.session = session->id, .epoch = epoch});
        });
    return {};
  }

  Status OnRollback(const wire::Rollback& rollback) {
    RETURN_IF_ERROR(sessions.Require(rollback.session, rollback.epoch));
    Truncate(rollback.session, rollback.epoch, rollback.position);
    return {};
  }

  // Forgets positions from `length` on, once what is queued has been done. An error frame answers
  // when fewer are there.
  void Truncate(SessionId id, Epoch epoch, uint32_t length) {
    InTurn(id, [this, held = keeper.held(), id, epoch, length](WorkQueue::Done done) {
      const SessionPtr session = sessions.Find(id);
      if (!held || held != keeper.held() || !session || session->epoch != epoch) return done();
      if (length > session->length) {
        outbox.TellError({Code::kOutOfRange, StrCat("asked to keep ", length, " positions, ",
                                                    session->length, " are held")},
                         {.session = id, .epoch = epoch});
        return done();
      }
      session->length = length;
      work.Do([held, kv = session->kv, length] { (void)held->runner->Rollback(kv, length); },
              std::move(done));
    });
  }

  void OnRelease(SessionId id) {
    const SessionPtr session = sessions.Release(id);
    if (!session) return;
    divided.DropUnwanted();
    OnStage(
        id, [kv = session->kv](StageRunner& runner) { return runner.Release(kv); },
        [](const Status&) {});
  }

  // --- Moving KV -------------------------------------------------------------------------------

  // A session's job on the stage, in its turn: `admit` looks once what is queued has been done, and
  // says whether there is something to be done; `job` runs on the work thread, `then` after it.
  // Errors are told of the session's epoch, in which all of it must still be. `of`: the sessions
  // that it touches.
  template <typename Frame>
  Status OnSession(const Frame& frame, std::vector<SessionId> of, size_t bytes,
                   std::function<Result<bool>(Session&)> admit,
                   std::function<Status(StageRunner&)> job, std::function<void(Session&)> then) {
    ASSIGN_OR_RETURN(const SessionPtr session, sessions.Require(frame.session, frame.epoch));
    WorkQueue::Work piece = [this, held = keeper.held(), session, epoch = frame.epoch,
                             admit = std::move(admit), job = std::move(job),
                             then = std::move(then)](WorkQueue::Done done) {
      const auto is_over = [session, epoch] { return session->gone || session->epoch != epoch; };
      const auto tell = [this, session, epoch](const Error& error) {
        events.on_problem(error);
        outbox.TellError(error, {.session = session->id, .epoch = epoch});
      };
      if (!held || held != keeper.held() || is_over()) return done();
      const Result<bool> admitted = admit(*session);
      if (!admitted) tell(admitted.error());
      if (!admitted || !*admitted) return done();
      const auto status = std::make_shared<Status>();
      work.Do([held, job, status] { *status = job(*held->runner); },
              [session, status, then, is_over, tell, done] {
                if (*status) then(*session);
                if (!*status && !is_over()) tell(status->error());
                done();
              });
    };
    return gate.Push(std::move(of), bytes, SessionGate::OneTurn(std::move(piece)));
  }

  Status OnKvExport(const wire::KvExport& request) {
    const auto kv = std::make_shared<ByteVector>();
    ASSIGN_OR_RETURN(const SessionPtr named, sessions.Require(request.session, request.epoch));
    return OnSession(
        request, {request.session}, 0,
        [request](const Session& session) -> Result<bool> {
          if (request.to <= session.length) return true;
          return Fail(Code::kOutOfRange,
                      StrCat("KV up to position ", request.to, " was asked for, ", session.length,
                             " positions are held"));
        },
        [request, kv, name = named->kv](StageRunner& runner) -> Status {
          ASSIGN_OR_RETURN(*kv, runner.ExportKv(name, request.from, request.to));
          return {};
        },
        [this, request, kv](const Session& session) {
          const std::vector<wire::KvSlot>& slots = keeper.held()->assign.kv;
          for (size_t i = 0; i < slots.size(); ++i) {
            if (slots[i].block < request.first || slots[i].block >= request.last) continue;
            wire::KvImport part = PartOf(slots, i, *kv, request.from, request.to);
            part.session = session.id;
            part.epoch = request.epoch;
            if (const auto sent = outbox.Send(std::move(part), request.target); !sent) {
              outbox.TellError(sent.error(), {.session = session.id, .epoch = request.epoch});
            }
          }
        });
  }

  Status OnKvImport(wire::KvImport part, size_t bytes) {
    const auto kv = std::make_shared<ByteVector>();
    const wire::KvImport about{.session = part.session, .epoch = part.epoch};
    const uint32_t from = part.from;
    const uint32_t to = part.to;
    ASSIGN_OR_RETURN(const SessionPtr named, sessions.Require(part.session, part.epoch));
    return OnSession(
        about, {about.session}, bytes,
        [this, kv, part = std::move(part)](Session& session) -> Result<bool> {
          if (part.from != session.length || part.to > session.capacity) {
            return Fail(Code::kOutOfRange,
                        StrCat("KV of positions ", part.from, " to ", part.to, " came, ",
                               session.length, " of ", session.capacity, " are held"));
          }
          if (!session.incoming) session.incoming.emplace(keeper.held()->assign.kv);
          ASSIGN_OR_RETURN(std::optional<ByteVector> all, session.incoming->Add(part));
          if (all) *kv = *std::move(all);
          return all.has_value();
        },
        [kv, from, to, name = named->kv](StageRunner& runner) {
          return runner.ImportKv(name, from, to, *kv);
        },
        [to](Session& session) { session.length = to; });
  }

  Status OnKvCopy(const wire::KvCopy& copy) {
    const SessionPtr source = sessions.Find(copy.source);
    if (!source) {
      return Fail(Code::kNotFound, StrCat("session ", copy.source.value, " is not open here"));
    }
    ASSIGN_OR_RETURN(const SessionPtr named, sessions.Require(copy.session, copy.epoch));
    return OnSession(
        copy, {copy.session, copy.source}, 0,
        [copy, source](const Session& session) -> Result<bool> {
          if (copy.positions <= std::min(source->length, session.capacity)) return true;
          return Fail(Code::kOutOfRange,
                      StrCat(copy.positions, " positions are to be copied, the source holds ",
                             source->length, ", the session has room for ", session.capacity));
        },
        [copy, source, name = named->kv](StageRunner& runner) {
          return runner.CopyKv(source->kv, name, copy.positions);
        },
        [copy](Session& session) { session.length = copy.positions; });
  }

  Status OnStep(wire::Step step, size_t bytes, int64_t arrived_us) {
    if (!keeper.held() || !keeper.held()->runner) {
      return Fail(Code::kFailedPrecondition, "no stage is held here; steps cannot be run");
    }
    const auto arrived =
        std::make_shared<const ArrivedStep>(ArrivedStep{.step = std::move(step),
                                                        .bytes = bytes,
                                                        .arrived_us = arrived_us,
                                                        .decode_us = loop.NowUs() - arrived_us});
    std::vector<SessionId> of;
    for (const wire::Row& row : arrived->step.rows) {
      if (of.empty() || of.back() != row.session) of.push_back(row.session);
    }
    return gate.Push(
        std::move(of), bytes,
        [this, held = keeper.held(), arrived](WorkQueue::Done leave, SessionGate::Done done) {
          // A newer assignment has dropped every session of this one.
          if (held == keeper.held()) return RunStep(held, arrived, leave, done);
          leave();
          done();
        });
  }

  struct ArrivedStep {
    wire::Step step;
    size_t bytes = 0;
    int64_t arrived_us = 0;
    int64_t decode_us = 0;
  };

  StepContext ContextOf(const HeldStage& held) {
    return {.sessions = sessions,
            .outbox = outbox,
            .assign = held.assign,
            .has_head = held.runner->has_head()};
  }

  void RunStep(const HeldStagePtr& held, const std::shared_ptr<const ArrivedStep>& arrived,
               WorkQueue::Done leave, const SessionGate::Done& done) {
    const int64_t start_us = loop.NowUs();
    const auto admitted =
        std::make_shared<const AdmittedStep>(AdmitStep(ContextOf(*held), arrived->step));
    if (admitted->groups.empty()) {
      leave();
      return done();
    }
    const int64_t admit_us = loop.NowUs() - start_us;
    divided.Run(
        held, admitted, std::move(leave),
        [this, held, arrived, admitted, start_us, admit_us, done](RunResult result, StepCost cost) {
          const int64_t ran_us = loop.NowUs();
          StepDone step = FinishStep(ContextOf(*held), arrived->step, *admitted, std::move(result));
          step.bytes_out += cost.bytes_out;
          const wire::Row& first = arrived->step.rows[admitted->groups[0].first_row];
          const auto encode_us =
              static_cast<uint64_t>(arrived->decode_us + admit_us + loop.NowUs() - ran_us);
          outbox.Tell(
              wire::Report{.session = first.session,
                           .epoch = first.epoch,
                           .position = first.position,
                           .rows = step.rows,
                           .first = held->assign.first,
                           .last = held->assign.last,
                           .queue_us = static_cast<uint64_t>(start_us - arrived->arrived_us),
                           .compute_us = cost.compute_us,
                           .encode_us = encode_us,
                           .bytes_in = arrived->bytes,
                           .bytes_out = step.bytes_out});
          ++counters.steps;
          counters.rows += step.rows;
          counters.tokens += step.tokens;
          counters.compute_us += cost.compute_us;
          done();
        });
  }

  net::EventLoop& loop;
  const NodeOptions options;
  const NodeEvents events;
  // In this order: what the work thread uses outlives it.
  const BlobCache cache;
  ThreadPool pool;
  SessionTable sessions;
  WorkQueue queue;
  WorkThread work;
  SessionGate gate;
  Outbox outbox;
  DividedSteps divided;
  ExpertHolder experts;
  StageKeeper keeper;
  Link link;
  net::Timer leave_limit;
  std::function<void()> on_left;  // Set: we are leaving.
  std::string resume_token = options.resume_token;
  bool welcomed = false;
  bool over = false;
  NodeCounters counters;
};

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() = default;

Result<std::unique_ptr<Node>> Node::Start(net::EventLoop& loop, NodeOptions options,
                                          NodeEvents events) {
  if (options.threads == 0 || options.memory_bytes == 0) {
    return Fail(Code::kInvalidArgument, "a volunteer lends at least one thread and some memory");
  }
  ASSIGN_OR_RETURN(const Addresses addresses, AddressesOf(options.url));
  ASSIGN_OR_RETURN(BlobCache cache, BlobCache::Open(options.cache));
  auto impl = std::make_unique<Impl>(loop, std::move(options), std::move(events), std::move(cache),
                                     addresses);
  return std::unique_ptr<Node>(new Node(std::move(impl)));
}

void Node::Leave(const std::string& reason, std::function<void()> on_left) {
  if (impl_->over) return impl_->loop.Post(std::move(on_left));
  impl_->on_left = std::move(on_left);
  if (!impl_->welcomed) return impl_->End(NodeState::kStopped, reason);
  impl_->outbox.Tell(wire::Leave{.reason = reason});
  impl_->leave_limit.After(kLeave, [this, reason] { impl_->End(NodeState::kStopped, reason); });
}

uint32_t Node::number() const { return impl_->outbox.node.value; }

const NodeCounters& Node::counters() const {
  impl_->counters.bytes_out = impl_->outbox.bytes_sent();
  return impl_->counters;
}

}  // namespace shoal::volunteer
