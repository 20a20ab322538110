#include "store/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/str_cat.h"
#include "model/json.h"

namespace shoal::store {

namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using model::JsonObject;

constexpr size_t kLineBytesMax = 1 << 20;
constexpr size_t kWorkersMax = 200'000;
constexpr size_t kListMax = 100'000;
// Lines after which the file is written anew.
constexpr size_t kLinesMax = 500'000;
constexpr size_t kCrcDigits = 8;

uint32_t Crc32(std::string_view text) {
  uint32_t crc = ~0u;
  for (const char c : text) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

std::string LineOf(const json::object& record) {
  const std::string text = json::serialize(record);
  std::array<char, kCrcDigits + 1> digits{};
  std::snprintf(digits.data(), digits.size(), "%08x", Crc32(text));
  return StrCat(digits.data(), " ", text, "\n");
}

json::object PlanRecord(std::string_view model, const std::vector<JournalStage>& plan) {
  json::array stages;
  for (const JournalStage& stage : plan) {
    stages.push_back(
        json::object{{"pipeline", stage.pipeline},
                     {"first", stage.first},
                     {"last", stage.last},
                     {"holders", json::array(stage.holders.begin(), stage.holders.end())},
                     {"weights", json::array(stage.weights.begin(), stage.weights.end())}});
  }
  return {{"plan", std::move(stages)}, {"model", model}};
}

json::object WorkRecord(std::string_view identity, uint64_t rows) {
  return {{"work", rows}, {"by", identity}};
}

Result<std::vector<JournalStage>> ReadPlan(const JsonObject& record) {
  std::vector<JournalStage> plan;
  ASSIGN_OR_RETURN(const std::vector<JsonObject> stages, record.Objects("plan", kListMax));
  for (const JsonObject& stage : stages) {
    JournalStage& out = plan.emplace_back();
    ASSIGN_OR_RETURN(const uint64_t pipeline, stage.Uint("pipeline", 0, kListMax));
    ASSIGN_OR_RETURN(const uint64_t first, stage.Uint("first", 0, UINT32_MAX));
    ASSIGN_OR_RETURN(const uint64_t last, stage.Uint("last", first, UINT32_MAX));
    ASSIGN_OR_RETURN(out.holders, stage.Texts("holders", kListMax));
    if (stage.Has("weights")) {
      ASSIGN_OR_RETURN(out.weights, stage.Texts("weights", kListMax));
    }
    out.pipeline = static_cast<uint32_t>(pipeline);
    out.first = static_cast<uint32_t>(first);
    out.last = static_cast<uint32_t>(last);
  }
  return plan;
}

Status Apply(const JsonObject& record, std::string_view model, JournalState& state) {
  if (record.Has("work")) {
    ASSIGN_OR_RETURN(const uint64_t rows, record.Uint("work", 0, UINT64_MAX));
    ASSIGN_OR_RETURN(const std::string by, record.Text("by"));
    if (state.work.size() < kWorkersMax || state.work.contains(by)) state.work[by] += rows;
  } else if (record.Has("plan")) {
    ASSIGN_OR_RETURN(const std::string of, record.Text("model"));
    ASSIGN_OR_RETURN(std::vector<JournalStage> plan, ReadPlan(record));
    state.plan = of == model ? std::move(plan) : std::vector<JournalStage>();
  } else if (record.Has("opened")) {
    ASSIGN_OR_RETURN(const uint64_t session, record.Uint("opened", 0, UINT64_MAX));
    state.open.insert(session);
  } else if (record.Has("ended")) {
    ASSIGN_OR_RETURN(const uint64_t session, record.Uint("ended", 0, UINT64_MAX));
    state.open.erase(session);
  }
  return {};
}

// One line without its end; an error for a damaged one.
Status ReadLine(std::string_view line, std::string_view model, JournalState& state) {
  uint32_t crc = 0;
  const char* const begin = line.data();
  if (line.size() < kCrcDigits + 1 || line.size() > kLineBytesMax ||
      std::from_chars(begin, begin + kCrcDigits, crc, 16).ptr != begin + kCrcDigits ||
      Crc32(line.substr(kCrcDigits + 1)) != crc) {
    return Fail(Code::kDataLoss, "a line is damaged");
  }
  ASSIGN_OR_RETURN(const json::value value,
                   model::ParseJson(line.substr(kCrcDigits + 1), "journal"));
  ASSIGN_OR_RETURN(const JsonObject record, JsonObject::From(value, "journal"));
  return Apply(record, model, state);
}

JournalState ReadAll(const fs::path& path, std::string_view model) {
  JournalState state;
  std::ifstream file(path, std::ios::binary);
  std::string line;
  while (std::getline(file, line)) {
    if (!ReadLine(line, model, state)) break;
  }
  return state;
}

Status WriteAll(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Fail(Code::kPermissionDenied, std::strerror(errno));
    text.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

}  // namespace

struct Journal::Impl {
  ~Impl() {
    if (file >= 0) close(file);
    if (lock >= 0) close(lock);
  }

  // The present state as a file of its own, which takes the journal's place.
  Status Rewrite() {
    const fs::path fresh = path.string() + ".new";
    const int opened = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (opened < 0) {
      return Fail(Code::kPermissionDenied, StrCat(fresh.string(), ": ", std::strerror(errno)));
    }
    std::string text;
    for (const auto& [identity, rows] : state.work) text += LineOf(WorkRecord(identity, rows));
    if (!state.plan.empty()) text += LineOf(PlanRecord(model, state.plan));
    for (const uint64_t session : state.open) text += LineOf({{"opened", session}});
    const Status written = WriteAll(opened, text);
    if (!written || fsync(opened) != 0 || rename(fresh.c_str(), path.c_str()) != 0) {
      close(opened);
      return Fail(Code::kPermissionDenied, StrCat(path.string(), " cannot be written"));
    }
    if (file >= 0) close(file);
    file = opened;
    lines = 0;
    return {};
  }

  // A full disk costs the record, not the service.
  void Append(const json::object& record) {
    (void)WriteAll(file, LineOf(record));
    if (++lines > kLinesMax) (void)Rewrite();
  }

  fs::path path;
  std::string model;
  JournalState past;
  JournalState state;
  std::map<std::string, uint64_t, std::less<>> unwritten;  // Work.
  int lock = -1;
  int file = -1;
  size_t lines = 0;
};

Journal::Journal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Journal::Journal(Journal&&) noexcept = default;
Journal& Journal::operator=(Journal&&) noexcept = default;
Journal::~Journal() {
  if (impl_) Flush();
}

Result<Journal> Journal::Open(const fs::path& path, std::string_view model) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->model = model;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  const std::string lock = path.string() + ".lock";
  impl->lock = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (impl->lock < 0) {
    return Fail(Code::kPermissionDenied, StrCat(lock, ": ", std::strerror(errno)));
  }
  if (flock(impl->lock, LOCK_EX | LOCK_NB) != 0) {
    return Fail(
        Code::kFailedPrecondition,
        StrCat(path.string(), " is in use by another coordinator; give each its own --data"));
  }
  impl->past = ReadAll(path, model);
  impl->state = impl->past;
  // Nobody makes those answers any more.
  impl->state.open.clear();
  RETURN_IF_ERROR(impl->Rewrite());
  return Journal(std::move(impl));
}

const JournalState& Journal::past() const { return impl_->past; }
const JournalState& Journal::state() const { return impl_->state; }

void Journal::Worked(std::string_view identity, uint64_t block_rows) {
  auto& work = impl_->state.work;
  if (!work.contains(identity) && work.size() >= kWorkersMax) return;
  work[std::string(identity)] += block_rows;
  impl_->unwritten[std::string(identity)] += block_rows;
}

void Journal::Planned(std::vector<JournalStage> plan) {
  if (plan == impl_->state.plan) return;
  impl_->state.plan = std::move(plan);
  impl_->Append(PlanRecord(impl_->model, impl_->state.plan));
}

void Journal::SessionOpened(uint64_t session) {
  impl_->state.open.insert(session);
  impl_->Append({{"opened", session}});
}

void Journal::SessionEnded(uint64_t session) {
  if (impl_->state.open.erase(session) > 0) impl_->Append({{"ended", session}});
}

void Journal::Flush() {
  for (const auto& [identity, rows] : std::exchange(impl_->unwritten, {})) {
    impl_->Append(WorkRecord(identity, rows));
  }
}

}  // namespace shoal::store
