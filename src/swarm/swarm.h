// The coordinator's decisions about volunteers and sessions, as one pure state machine:
// (state, event, now) -> effects. No I/O, no clock, no randomness of its own, so that a simulator
// can run the very code that serves.
//
// Placement. The planner says which volunteers hold which blocks (placement.cc): pipelines whose
// stages may have several holders. A plan is changed where it is broken at once, and for something
// better only while nobody whose blocks would change is in use.
//
// Forms. A model's blocks may come in several sets of weights, and be computed in float16 or
// float32; everybody has them in the form that suits its device (forms.h, sets.cc), unless memory
// demands another, and a session keeps to the sets that it began with where it can.
//
// Routes. A session goes through ready volunteers whose spans meet, the way that is expected to
// finish first (routing.cc). It leases KV room on each of them.
//
// Work. Every volunteer has a queue here and few frames at a time there (dispatch.cc): single rows
// of many sessions are put into one frame, prompts go in chunks, and the two take turns.
//
// Recovery. A session that loses a stage is routed anew under a new epoch (recovery.cc). Stages
// that are still there keep their KV; the others are given the inputs again that were kept for
// them, or the tokens where nothing was. What was answered stays, and because sampling depends on
// (seed, position) alone, so does what follows.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "planner/pool_plan.h"
#include "planner/roles.h"
#include "swarm/events.h"
#include "swarm/state.h"

namespace shoal::swarm {

class Swarm {
 public:
  explicit Swarm(Config config);

  std::vector<Effect> Handle(const Event& event, Micros now);

  // kUnavailable unless there is a way through all blocks; says what is missing. kResourceExhausted
  // where as many sessions are open as may be.
  Status Availability() const;
  // Whether SessionOpened is welcome: as Availability, and also while blocks that were served a
  // moment ago are being loaded by others: a new session waits for these as those under way do.
  Status Admits(Micros now) const;
  // Every block of the model is held by somebody who is ready, and their spans meet.
  bool RouteReady() const;

  const Config& config() const { return config_; }
  const planner::PoolPlan& plan() const { return plan_; }
  // The stages of the plan's first pipeline, each with its best holder.
  std::vector<planner::Stage> MainStages() const;
  const std::map<NodeId, Volunteer>& volunteers() const { return volunteers_; }
  const std::map<SessionId, Session>& sessions() const { return sessions_; }
  // On the route of a session, or in the plan.
  bool InUse(NodeId node) const;
  // Bytes of weights that nobody holds, or that no volunteer's memory has room for.
  uint64_t MissingBytes() const;
  // Over the last ten seconds.
  double TokensPerSecond(Micros now) const;
  // From one token to the next of a session alone: as the plan predicts it with what is known of
  // the volunteers now, and as it was lately; 0 where unknown.
  double predicted_token_s() const { return predicted_token_s_; }
  double measured_token_s() const { return measured_token_s_; }
  // Whether rows for experts, and their answers, go from one to the other.
  bool MayExchange(NodeId from, NodeId to) const;
  // The form's name of its set of weights, and whether it is in float16.
  const std::string& WeightsOf(uint32_t form) const;
  bool IsF16(uint32_t form) const;
  uint64_t kept_bytes() const { return kept_bytes_; }
  // Ended sessions whose KV is kept for others, and positions that were so not computed again.
  const std::map<SessionId, Retained>& retained() const { return retained_; }
  uint64_t positions_reused() const { return positions_reused_; }
  // A hash of the state: equal after the same events.
  uint64_t Fingerprint() const;

 private:
  using Effects = std::vector<Effect>;
  using Forms = std::map<NodeId, uint32_t>;
  // Who is planned with in the form of least bytes, rather than in that which suits it best: since
  // the model would not fit otherwise.
  enum class Thrift : uint8_t { kNobody, kSpares, kEverybody };

  void On(const VolunteerJoined& event, Micros now, Effects& out);
  void On(const VolunteerLeft& event, Micros now, Effects& out);
  void On(const VolunteerHeard& event, Micros now, Effects& out);
  void On(const StageProgress& event, Micros now, Effects& out);
  void On(const StageFailed& event, Micros now, Effects& out);
  void On(const SessionOpened& event, Micros now, Effects& out);
  void On(const SessionCancelled& event, Micros now, Effects& out);
  void On(const TokenCame& event, Micros now, Effects& out);
  void On(const StepPassed& event, Micros now, Effects& out);
  void On(const StepReported& event, Micros now, Effects& out);
  void On(const StepFailed& event, Micros now, Effects& out);
  void On(const ExpertsUsed& event, Micros now, Effects& out);
  void On(const Tick& event, Micros now, Effects& out);
  void On(const VolunteerLeaving& event, Micros now, Effects& out);
  void On(const KvPassed& event, Micros now, Effects& out);

  Status CheckPlanned() const;
  Status CheckSessionsOpen() const;
  bool IsLoading() const;

  // membership.cc
  void Forget(NodeId node, const std::string& reason, Micros now, Effects& out);
  void Drop(NodeId node, Error reason, Micros now, Effects& out);
  void Exclude(NodeId node, Micros now, Effects& out);
  static void ObserveRoundTrip(Volunteer& volunteer, Micros round_trip);
  static void ObserveUplink(Volunteer& volunteer, uint64_t bytes, Micros travel);
  void CheckHeartbeats(Micros now, Effects& out);
  void PassOver(NodeId node, Micros now, Effects& out);
  void CheckSteps(Micros now, Effects& out);

  // experts.cc
  void SetDivided(std::vector<uint32_t> blocks);
  std::vector<uint32_t> DividedIn(planner::Span span) const;
  std::vector<planner::ExpertLayer> DividedLayers() const;
  bool ChooseRoles(Micros now);
  planner::Roles RolesFor(const std::vector<uint32_t>& divided, planner::Held held) const;
  bool FitsWhole() const;
  bool ExpertsStand() const;
  void AssignHoldings(Micros now, Effects& out);
  void AssignHolding(NodeId node, std::vector<planner::ExpertSlot> slots, Micros now, Effects& out);
  void BeginLoading(NodeId node, Micros now, Effects& out);
  bool IsAsked(NodeId node) const;
  bool UsesExpertHolders(const planner::PoolPlan& plan) const;
  std::map<planner::ExpertSlot, NodeId> ChooseHolders(
      const std::map<planner::ExpertSlot, std::vector<NodeId>>& holders) const;
  void RefreshTables(Effects& out);
  bool ExpertsAnswer(const Volunteer& volunteer) const;
  void ReplicateHot(Micros now, Effects& out);
  bool IsExpertHolder(NodeId node) const { return expert_plan_.contains(node); }
  double ExpertSeconds(const planner::Problem& problem) const;

  // flappers.cc
  void Recognise(NodeId node, Volunteer& volunteer, Micros now, Effects& out);
  void RememberStay(const Volunteer& volunteer, Micros now);

  // placement.cc
  planner::Limits PlanLimits(uint32_t stages_min) const;
  planner::Problem BuildProblem(uint32_t stages_min, Thrift thrift, Micros now) const;
  uint32_t StagesMin() const;
  bool PlanStands() const;
  bool PlanIsShort() const;
  void Replan(Micros now, Effects& out);
  void ReplanStages(Micros now, Effects& out);
  Result<planner::PoolPlan> MakePlan(Thrift& thrift, Micros now) const;
  bool MayAdopt(const planner::PoolPlan& plan, const Forms& forms) const;
  bool Stays(NodeId node, planner::Span span, uint32_t form) const;
  bool HasRoutes(const Volunteer& volunteer) const;
  void Adopt(planner::PoolPlan plan, const Forms& forms, Micros now, Effects& out);
  void Assign(NodeId node, planner::Span span, uint32_t form, Micros now, Effects& out);
  void MeasureDemand(Micros now);

  // sets.cc
  const std::vector<planner::BlockCost>& BlocksOf(uint32_t form) const;
  uint32_t SetOf(uint32_t form) const;
  bool HasSets() const;
  void KnowForms(Volunteer& volunteer, const VolunteerJoined& event) const;
  bool MayHave(const Volunteer& volunteer, uint32_t form) const;
  uint32_t FormFor(const Volunteer& volunteer, Thrift thrift) const;
  planner::ExecutorSpeed SpeedIn(const Volunteer& volunteer, uint32_t form) const;
  Forms FormsOf(const planner::PoolPlan& plan, Thrift thrift) const;
  uint32_t FormWith(const Volunteer& volunteer, std::string_view weights) const;
  uint32_t FormAt(const Volunteer& volunteer, planner::Span span, Thrift thrift) const;
  std::optional<uint32_t> SetInUse(planner::Span span) const;
  void GiveForm(NodeId node, uint32_t form);
  void ReturnForms(Micros now);
  std::vector<uint32_t> SetsOf(const std::vector<NodeId>& path) const;

  // restart.cc
  bool IsExpecting() const { return expecting_; }
  void TakeUpPlan(Micros now, Effects& out);
  void Predict(Micros now);

  // routing.cc
  enum class RouteResult : uint8_t { kFound, kNoPath, kNoRoom };
  RouteResult FindRoute(SessionId id, const Session& session, const PrefixMatch& match, Micros now,
                        std::vector<NodeId>& path) const;
  RouteResult FindRouteIn(const std::vector<uint32_t>& sets, SessionId id, const Session& session,
                          const PrefixMatch& match, Micros now, std::vector<NodeId>& path) const;
  static bool IsCountedOn(const Volunteer& volunteer);
  bool IsUsable(const Volunteer& volunteer) const;
  uint64_t LeasesMax(const Volunteer& volunteer) const;
  double StepSeconds(const Volunteer& volunteer, uint32_t position, uint32_t rows) const;
  double ReplaySeconds(const Session& session, const PrefixMatch& match, NodeId node,
                       const Volunteer& volunteer) const;

  // sessions.cc
  void Admit(Micros now, Effects& out);
  std::optional<SessionId> NextWaiting() const;
  void AddToken(SessionId id, Session& session, const wire::Token& token, Micros now, Effects& out);
  void EndSession(SessionId id, Micros now, Effects& out);
  void FailSession(SessionId id, Error error, Micros now, Effects& out);
  void CheckSessions(Micros now, Effects& out);

  // recovery.cc
  uint32_t LiveFrom(const Session& session, const PrefixMatch& match,
                    const std::vector<NodeId>& path) const;
  void StartRoute(SessionId id, Session& session, const PrefixMatch& match,
                  const std::vector<NodeId>& path, Micros now, Effects& out);
  void StartHop(SessionId id, Session& session, const PrefixMatch& match, NodeId node, NodeId next,
                uint32_t live, Effects& out, RouteStage& stage);
  void KeepInputs(Session& session, const PrefixMatch& match, uint32_t live);
  void Suspend(SessionId id, Session& session, Micros now);
  void Restart(SessionId id, const Error& why, Micros now, Effects& out);
  static bool Needs(const Session& session, NodeId node);
  // The KV of every session there is gone.
  void LoseLeases(NodeId node, Micros now, Effects& out);
  void Release(SessionId id, Session& session, NodeId node, Effects& out);
  void LimitKept();
  void ForgetKept(Session& session);

  // handover.cc
  void HandOver(Micros now, Effects& out);
  bool StartImport(SessionId id, Session& session, Hop& hop, Effects& out);
  double ImportSeconds(const Volunteer& source, const Volunteer& target, uint64_t bytes) const;

  // warm.cc
  void ChooseWarm(Micros now, Effects& out);
  void OpenWarm(SessionId id, Session& session, size_t hop, NodeId node, Effects& out);
  void KeepWarm(SessionId id, Session& session, uint32_t live, Effects& out);
  bool SendWarm(NodeId node, Volunteer& volunteer, Micros now, Effects& out);

  // prefix.cc
  PrefixMatch FindPrefix(const Session& session) const;
  void Retain(SessionId id, Session& session, Micros now, Effects& out);
  void DropRetained(SessionId id, Effects& out);
  void CheckRetained(Micros now, Effects& out);
  void MakeRoom(NodeId node, uint64_t positions, SessionId except, Effects& out);

  // dispatch.cc
  void Dispatch(NodeId node, Micros now, Effects& out);
  bool SendSingles(NodeId node, Volunteer& volunteer, Micros now, Effects& out);
  bool SendBulk(NodeId node, Volunteer& volunteer, Micros now, Effects& out);
  bool SendReplay(NodeId node, Volunteer& volunteer, Micros now, Effects& out);
  bool SendPrompt(NodeId node, Volunteer& volunteer, Micros now, Effects& out);
  bool IsBlocked(NodeId node, const std::vector<RowSpan>& rows) const;
  bool HasRoomFor(const Session& session) const;
  size_t FramesAhead(const Volunteer& volunteer) const;
  size_t FramesAwayNow(const Volunteer& volunteer) const;
  void AddTokenRow(SessionId id, const Session& session, uint32_t position, wire::Step& step) const;
  void Send(Volunteer& volunteer, std::vector<RowSpan> rows, Effect effect, Micros now,
            Effects& out);
  void SendAgain(SessionId id, Session& session, planner::Span span, uint32_t from, uint32_t to,
                 NodeId node, Micros now, Effects& out);
  void ForgetRows(NodeId node, SessionId session);

  Config config_;
  planner::PoolPlan plan_;
  std::map<NodeId, Volunteer> volunteers_;
  std::map<std::string, Past> pasts_;  // Of volunteers that have left, by identity.
  std::map<SessionId, Session> sessions_;
  // config_.blocks and those of its forms have what stages hold of them; these are whole.
  std::vector<planner::BlockCost> whole_blocks_;
  std::vector<Form> whole_forms_;
  std::vector<uint32_t> divided_;  // Blocks, ascending.
  planner::ExpertHolding expert_plan_;
  uint64_t expert_missing_bytes_ = 0;
  uint32_t expert_missing_devices_ = 0;
  Micros roles_lack_since_ = 0;  // Not everything that is divided has a place; 0: it has.
  std::map<planner::ExpertSlot, double> expert_rows_;  // Lately; halves every while.
  std::set<uint32_t> unanswered_;                      // Divided blocks without all their experts.
  bool experts_changed_ = false;                       // Since tables were told.
  Micros hot_seen_at_ = 0;
  std::map<SessionId, Retained> retained_;  // By the number that the session had.
  std::deque<SessionId> waiting_;           // New ones, in order of arrival.
  std::map<std::string, double> served_;    // Rows that clients with sessions have been given.
  std::deque<Micros> token_times_;
  uint64_t kept_bytes_ = 0;
  uint64_t positions_reused_ = 0;
  Micros replan_at_ = 0;        // 0: no need.
  bool had_route_ = false;      // There was a way through all blocks, at a tick.
  Micros pathless_since_ = 0;   // No way through all blocks, to a tick; 0: there is one.
  Micros busy_at_ = 0;          // When there was a session, to a tick.
  bool expecting_ = false;      // Config::expected is still waited for ...
  Micros expecting_since_ = 0;  // ... since then; 0: nothing has happened yet.
  uint32_t demand_ = 4;         // Sessions at once that the plan is for.
  Micros demand_seen_at_ = 0;
  Micros predicted_at_ = 0;
  double predicted_token_s_ = 0;
  double measured_token_s_ = 0;
  uint32_t next_generation_ = 1;
  uint32_t next_epoch_ = 1;
  uint64_t next_ping_ = 1;
};

}  // namespace shoal::swarm
