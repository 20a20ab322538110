// What a volunteer of the simulator does with KV and inputs that move: kept inputs given again, KV
// given away, taken in and copied.
#include <algorithm>

#include "base/str_cat.h"
#include "simulator/sim_volunteer.h"
#include "simulator/toy_payload.h"

namespace shoal::simulator {

void SimVolunteer::On(NodeId, wire::Replay& replay) {
  QueueNow([this, replay] {
    const auto at = sessions_.find(replay.session);
    if (at == sessions_.end() || at->second.epoch != replay.epoch) return;
    const Session& session = at->second;
    if (replay.from < session.outputs_from || replay.to > session.outputs.size() ||
        replay.from >= replay.to) {
      Fail(replay.session, replay.epoch, Code::kDataLoss, "those inputs were not kept");
      return;
    }
    for (uint32_t from = replay.from; from < replay.to;) {
      const uint32_t to = std::min(replay.to, from + traits_.chunk_rows);
      wire::Step step{.type = wire::PayloadType::kF32, .width = kHiddenWidth};
      for (uint32_t p = from; p < to; ++p) {
        step.rows.push_back({.session = replay.session,
                             .epoch = replay.epoch,
                             .position = p,
                             .flags = wire::Row::kReplay});
        WriteHidden(session.outputs[p], step.payload);
      }
      send_(replay.target, std::move(step));
      from = to;
    }
  });
}

void SimVolunteer::On(NodeId, wire::KvExport& request) {
  QueueNow([this, request] {
    const auto at = sessions_.find(request.session);
    if (at == sessions_.end() || at->second.epoch != request.epoch) return;
    const Session& session = at->second;
    if (request.first < span_.first || request.last > span_.last || request.to > session.held ||
        request.from >= request.to) {
      Fail(request.session, request.epoch, Code::kOutOfRange, "that KV is not held");
      return;
    }
    for (uint32_t b = request.first; b < request.last; ++b) {
      wire::KvImport import{.session = request.session,
                            .epoch = request.epoch,
                            .block = b,
                            .from = request.from,
                            .to = request.to};
      const std::vector<uint64_t>& cache = session.cache[b - span_.first];
      for (uint32_t p = request.from; p < request.to; ++p) WriteHidden(cache[p], import.payload);
      // As many bytes on the link as real KV would be.
      import.payload.resize(
          std::max<size_t>(import.payload.size(),
                           (request.to - request.from) * traits_.kv_bytes_per_position / 4 * 4));
      send_(request.target, std::move(import));
    }
  });
}

void SimVolunteer::On(NodeId, wire::KvImport& import) {
  QueueNow([this, import = std::move(import)] {
    const auto at = sessions_.find(import.session);
    if (at == sessions_.end() || at->second.epoch != import.epoch) return;
    Session& session = at->second;
    if (import.block < span_.first || import.block >= span_.last || import.from != session.held ||
        import.to > session.capacity) {
      Fail(import.session, import.epoch, Code::kOutOfRange,
           "KV that does not continue what is held");
      return;
    }
    wire::Step view{.type = wire::PayloadType::kF32, .width = kHiddenWidth};
    view.payload = import.payload;
    std::vector<uint64_t>& cache = session.cache[import.block - span_.first];
    cache.resize(import.from);
    for (uint32_t p = import.from; p < import.to; ++p) {
      cache.push_back(ReadInput(view, p - import.from));
    }
    // Held once all blocks' parts have come.
    const auto has = [&](const std::vector<uint64_t>& block) { return block.size() >= import.to; };
    if (!std::ranges::all_of(session.cache, has)) return;
    session.held = import.to;
    session.outputs.resize(import.to);
    session.outputs_from = import.to;
  });
}

// A source that was released after the copy was asked for is there until its turn.
const SimVolunteer::Session* SimVolunteer::SourceOf(const wire::KvCopy& copy) const {
  const auto closing = closing_.lower_bound(copy.source);
  if (closing != closing_.end() && closing->first == copy.source) return &closing->second;
  const auto open = sessions_.find(copy.source);
  return open == sessions_.end() ? nullptr : &open->second;
}

void SimVolunteer::On(NodeId, wire::KvCopy& copy) {
  QueueNow([this, copy] {
    const auto at = sessions_.find(copy.session);
    if (at == sessions_.end() || at->second.epoch != copy.epoch) return;
    const Session* source = SourceOf(copy);
    Session& session = at->second;
    if (source == nullptr || source->held < copy.positions || copy.positions > session.capacity) {
      Fail(copy.session, copy.epoch, Code::kOutOfRange, "no such KV to be copied");
      return;
    }
    for (uint32_t i = 0; i < span_.size(); ++i) {
      const std::vector<uint64_t>& from = source->cache[i];
      session.cache[i].assign(from.begin(), from.begin() + copy.positions);
      // Plant::kCopyBeside: one position beside what was meant.
      if (plant_ == Plant::kCopyBeside && from.size() > copy.positions) {
        session.cache[i].back() = from[copy.positions];
      }
    }
    session.held = copy.positions;
    session.stale = 0;
    session.outputs.assign(copy.positions, 0);
    session.outputs_from = copy.positions;
  });
}

}  // namespace shoal::simulator
