#include "volunteer/engine_timing.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "base/random.h"

namespace shoal::volunteer {

namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

class Timer {
 public:
  Timer(engine::Stage& stage, uint32_t rows_max) : stage_(stage) {
    Random random(3);
    const engine::StageShape& shape = stage.shape();
    for (uint32_t i = 0; i < rows_max; ++i) {
      if (shape.takes_tokens) {
        tokens_.push_back(static_cast<int32_t>(random.Below(shape.vocab_size)));
        continue;
      }
      for (uint32_t j = 0; j < shape.input_width; ++j) {
        hidden_.push_back(static_cast<float>(2 * random.NextDouble() - 1));
      }
    }
  }

  // Rows of one session from position 0 if `sessions` is 1 and rows are more, else one row of each
  // session at position `past`.
  Result<double> Time(uint32_t sessions, uint32_t rows, uint32_t past, int rounds) {
    for (uint32_t s = 1; s <= sessions; ++s) {
      RETURN_IF_ERROR(stage_.Open(SessionId{s}, past + rows));
      if (past > 0) RETURN_IF_ERROR(Run(RowsOf(s, 0, past)));
    }
    std::vector<engine::Row> list;
    for (uint32_t s = 1; s <= sessions; ++s) {
      const std::vector<engine::Row> own = RowsOf(s, past, rows);
      list.insert(list.end(), own.begin(), own.end());
    }
    double best_ms = 1e30;
    for (int round = 0; round < rounds; ++round) {
      const auto start = Clock::now();
      RETURN_IF_ERROR(Run(list));
      best_ms = std::min(best_ms, MillisecondsSince(start));
      for (uint32_t s = 1; s <= sessions; ++s) {
        RETURN_IF_ERROR(stage_.Rollback(SessionId{s}, past));
      }
    }
    for (uint32_t s = 1; s <= sessions; ++s) RETURN_IF_ERROR(stage_.Release(SessionId{s}));
    return best_ms;
  }

 private:
  static std::vector<engine::Row> RowsOf(uint32_t session, uint32_t from, uint32_t count) {
    std::vector<engine::Row> rows;
    for (uint32_t i = 0; i < count; ++i) rows.push_back({SessionId{session}, from + i, i == 0});
    return rows;
  }

  Status Run(std::span<const engine::Row> rows) {
    const engine::StageShape& shape = stage_.shape();
    const size_t values = rows.size() * shape.input_width;
    const auto input = shape.takes_tokens ? engine::Input::Tokens(std::span(tokens_).first(values))
                                          : engine::Input::Hidden(std::span(hidden_).first(values));
    const auto output = stage_.Run(rows, input);
    return output ? Status() : Fail(output.error().code, output.error().detail);
  }

  engine::Stage& stage_;
  std::vector<int32_t> tokens_;
  std::vector<float> hidden_;
};

}  // namespace

Result<EngineTimes> TimeStage(engine::Stage& stage, uint32_t prefill_rows) {
  constexpr uint32_t kSessions = 8;
  constexpr uint32_t kPast = 16;
  EngineTimes times;
  times.prefill_rows = std::min(prefill_rows, stage.shape().positions_max);
  Timer timer(stage, std::max(times.prefill_rows, kPast));
  ASSIGN_OR_RETURN(times.decode_ms, timer.Time(1, 1, kPast, 30));
  ASSIGN_OR_RETURN(times.decode8_ms, timer.Time(kSessions, 1, kPast, 8));
  ASSIGN_OR_RETURN(times.prefill_ms, timer.Time(1, times.prefill_rows, 0, 3));
  return times;
}

double ReadBandwidth(engine::Parallel& parallel) {
  constexpr size_t kWords = (size_t{1} << 30) / sizeof(uint64_t);
  constexpr size_t kLanes = 32;
  const std::vector<uint64_t> words(kWords, 1);
  std::vector<uint64_t> sums(parallel.threads());
  double best_ms = 1e30;
  for (int round = 0; round < 3; ++round) {
    const auto start = Clock::now();
    parallel.For(sums.size(), [&](size_t part) {
      const size_t end = kWords * (part + 1) / sums.size();
      uint64_t lanes[kLanes] = {};
      for (size_t i = kWords * part / sums.size(); i + kLanes <= end; i += kLanes) {
        for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += words[i + lane];
      }
      sums[part] = std::accumulate(lanes, lanes + kLanes, uint64_t{0});
    });
    best_ms = std::min(best_ms, MillisecondsSince(start));
  }
  CHECK(std::accumulate(sums.begin(), sums.end(), uint64_t{0}) > kWords / 2);
  return static_cast<double>(kWords * sizeof(uint64_t)) / best_ms / 1e6;
}

}  // namespace shoal::volunteer
