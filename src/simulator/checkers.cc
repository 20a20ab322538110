#include "simulator/checkers.h"

#include <algorithm>

#include "base/str_cat.h"

namespace shoal::simulator {

void Checkers::Report(std::string rule, std::string what) {
  if (!rules_.insert(rule).second) return;
  violations_.push_back({now_(), std::move(rule), std::move(what)});
}

// --- No two own a session's span ---------------------------------------------------------------

void Checkers::Opened(const HeldKv& kv) {
  held_[{kv.session, kv.node}] = kv;
  if (!kv.passes_on) return;
  const auto first = held_.lower_bound({kv.session, NodeId{0}});
  for (auto at = first; at != held_.end() && at->first.first == kv.session; ++at) {
    const HeldKv& other = at->second;
    if (other.node == kv.node || !other.passes_on || other.epoch != kv.epoch) continue;
    if (other.span.first < kv.span.last && kv.span.first < other.span.last) {
      Report("owner", StrCat("volunteers ", other.node.value, " and ", kv.node.value,
                             " both own blocks of session ", kv.session.value, " at epoch ",
                             kv.epoch.value));
    }
  }
}

void Checkers::Closed(NodeId node, SessionId session) { held_.erase({session, node}); }

void Checkers::Sampled(const HeldKv& kv, uint32_t position) {
  const auto [at, is_first] = sampled_.try_emplace(kv.session, position, kv);
  auto& [newest, by] = at->second;
  // A position may be sampled again after a loss, under a new epoch by whoever took the head over;
  // not by two of one epoch.
  if (!is_first && newest == position && by.node != kv.node && by.epoch == kv.epoch) {
    Report("owner",
           StrCat("volunteers ", by.node.value, " and ", kv.node.value, " both chose the token at ",
                  position, " of session ", kv.session.value));
  }
  at->second = {position, kv};
}

// --- KV and places -----------------------------------------------------------------------------

void Checkers::MemoryUsed(NodeId node, uint64_t bytes, uint64_t budget) {
  if (bytes <= budget) return;
  Report("memory", StrCat("volunteer ", node.value, " would need ", bytes, " bytes of ", budget));
}

void Checkers::Computed(const HeldKv& kv, uint32_t, uint32_t rows) {
  held_[{kv.session, kv.node}] = kv;
  computed_[kv.node] += uint64_t{rows} * kv.span.size();
}

void Checkers::ExpertsComputed(NodeId node, uint64_t group_rows) { computed_[node] += group_rows; }

void Checkers::Credited(NodeId node, uint64_t block_rows) {
  uint64_t& credited = credited_[node];
  credited += block_rows;
  if (credited <= computed_[node]) return;
  Report("credit", StrCat("volunteer ", node.value, " is credited with ", credited,
                          " rows of blocks and has computed ", computed_[node]));
}

void Checkers::OutOfPlace(const HeldKv& kv, uint32_t position, uint32_t held) {
  Report("place", StrCat("a row at ", position, " of session ", kv.session.value,
                         " came to volunteer ", kv.node.value, ", which holds ", held));
}

void Checkers::Misdirected(NodeId node, std::string_view what) {
  Report("route", StrCat("volunteer ", node.value, " got ", what));
}

void Checkers::Accused(NodeId node, const Error& error) {
  // Nobody in these worlds lies; silence and slowness may be mistaken for death.
  if (error.code == Code::kDeadlineExceeded) return;
  Report("accused", StrCat("volunteer ", node.value, " was dropped: ", error.ToString()));
}

// --- Answers -----------------------------------------------------------------------------------

void Checkers::Asked(SessionId session, uint32_t, const std::vector<int32_t>& prompt,
                     uint32_t max_tokens) {
  Request& request = requests_[session];
  request.model = std::make_unique<ReferenceModel>(blocks_);
  for (const int32_t token : prompt) request.expected = request.model->Next(token);
  request.next_position = static_cast<uint32_t>(prompt.size());
  request.max_tokens = max_tokens;
  request.since = now_();
  ++running_;
}

// Where the new route is cut as the old one was, those who are on both keep all they have: nothing
// runs again but what was lost.
void Checkers::Routed(SessionId session, uint32_t from, std::vector<OpenedStage> stages) {
  const auto at = requests_.find(session);
  if (at == requests_.end() || at->second.ended) return;
  Request& request = at->second;
  const auto was_cut = [&](const OpenedStage& stage) {
    return std::ranges::any_of(
        request.route, [&](const OpenedStage& old) { return old.span.first == stage.span.first; });
  };
  if (request.made_on_route && std::ranges::all_of(stages, was_cut)) {
    const uint32_t had = request.next_position - 1;
    if (from != had) {
      Report("again",
             StrCat("session ", session.value, " had ", had, " positions and goes on from ", from));
    }
    for (const OpenedStage& stage : stages) {
      const bool stays = std::ranges::any_of(request.route, [&](const OpenedStage& old) {
        return old.node == stage.node && old.span == stage.span &&
               request.holders.contains(old.node);
      });
      if (!stays || stage.kept >= had) continue;
      Report("again", StrCat("volunteer ", stage.node.value, " had ", had, " positions of session ",
                             session.value, " and is to keep ", stage.kept));
    }
  }
  request.holders.clear();
  for (const OpenedStage& stage : stages) request.holders.insert(stage.node);
  request.route = std::move(stages);
  request.made_on_route = false;
}

void Checkers::Released(NodeId node, SessionId session) {
  const auto at = requests_.find(session);
  if (at != requests_.end()) at->second.holders.erase(node);
}

void Checkers::Assigned(NodeId node) {
  for (auto& [session, request] : requests_) request.holders.erase(node);
}

void Checkers::TokenMade(SessionId session, uint32_t position, int32_t token) {
  const auto at = requests_.find(session);
  if (at == requests_.end() || at->second.ended) {
    return Report("token", StrCat("a token of session ", session.value, ", which has ended"));
  }
  Request& request = at->second;
  if (position != request.next_position) {
    Report("token", StrCat("session ", session.value, ": a token at ", position, ", the next is ",
                           request.next_position));
  } else if (token != request.expected) {
    Report("token", StrCat("session ", session.value, ": token ", token, " at ", position,
                           " must be ", request.expected));
  }
  request.expected = request.model->Next(token);
  ++request.next_position;
  ++request.made;
  request.since = now_();
  request.made_on_route = true;
}

void Checkers::Ended(SessionId session, const Error* error) {
  const auto at = requests_.find(session);
  if (at == requests_.end() || at->second.ended) {
    return Report("end", StrCat("session ", session.value, " ended twice"));
  }
  Request& request = at->second;
  request.ended = true;
  request.model.reset();
  --running_;
  if (error == nullptr && request.made != request.max_tokens) {
    Report("token", StrCat("session ", session.value, " finished with ", request.made, " of ",
                           request.max_tokens, " tokens"));
  }
  if (error != nullptr && error->detail.empty()) Report("end", "a request failed without a reason");
}

void Checkers::Cancelled(SessionId session) {
  const auto at = requests_.find(session);
  if (at == requests_.end() || at->second.ended) return;
  at->second.ended = true;
  at->second.model.reset();
  --running_;
}

void Checkers::CheckProgress(Micros limit) {
  for (auto& [session, request] : requests_) {
    if (request.ended || now_() - request.since < limit) continue;
    Report("end", StrCat("session ", session.value, " has made no token for ", limit / kSecond,
                         " s, after ", request.made));
  }
}

void Checkers::CheckRest(const std::function<bool(NodeId)>& is_deaf) {
  if (running_ > 0) Report("end", StrCat(running_, " requests never ended"));
  for (const auto& [key, kv] : held_) {
    if (is_deaf(kv.node)) continue;
    Report("lease", StrCat("volunteer ", kv.node.value, " still keeps KV of session ",
                           kv.session.value, ", which has ended"));
  }
}

}  // namespace shoal::simulator
