#include "packer/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/str_cat.h"
#include "model/file.h"
#include "model/json.h"

namespace shoal::packer {

namespace {

namespace json = boost::json;

constexpr uint64_t kMaxJournalBytes = 256u << 20;
constexpr size_t kMaxChunks = 1u << 20;

Result<Job> ReadJob(const model::JsonObject& line) {
  Job job;
  ASSIGN_OR_RETURN(const std::string checkpoint, line.Text("checkpoint"));
  ASSIGN_OR_RETURN(job.checkpoint, store::ParseSha256(checkpoint));
  ASSIGN_OR_RETURN(job.weights, line.Text("weights"));
  ASSIGN_OR_RETURN(job.name, line.Text("name"));
  ASSIGN_OR_RETURN(job.packer, line.Text("packer"));
  return job;
}

Result<std::pair<std::string, store::Blob>> ReadBlob(const model::JsonObject& line) {
  std::pair<std::string, store::Blob> entry;
  store::Blob& blob = entry.second;
  ASSIGN_OR_RETURN(entry.first, line.Text("key"));
  ASSIGN_OR_RETURN(const std::string sha, line.Text("sha"));
  ASSIGN_OR_RETURN(blob.sha, store::ParseSha256(sha));
  ASSIGN_OR_RETURN(blob.bytes, line.Uint("bytes", 0, kMaxChunks * store::kChunkBytes));
  ASSIGN_OR_RETURN(const std::vector<std::string> chunks, line.Texts("chunks", kMaxChunks));
  for (const std::string& text : chunks) {
    ASSIGN_OR_RETURN(const store::Sha256 chunk, store::ParseSha256(text));
    blob.chunks.push_back(chunk);
  }
  return entry;
}

}  // namespace

Result<Journal> Journal::Open(const std::filesystem::path& pack) {
  const std::filesystem::path path = pack / kJournalFile;
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  Journal journal(path, descriptor);
  if (descriptor < 0) return journal.SystemFailure("cannot open");
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return journal.SystemFailure("cannot lock");
    return Fail(Code::kUnavailable,
                StrCat(pack.string(), ": another shoal pack is writing this pack"));
  }
  ASSIGN_OR_RETURN(const std::string text, model::ReadFile(path, kMaxJournalBytes));
  journal.Load(text);
  return journal;
}

Journal::Journal(Journal&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      job_(std::move(other.job_)),
      blobs_(std::move(other.blobs_)) {}

Journal::~Journal() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::unexpected<Error> Journal::SystemFailure(std::string_view what) const {
  return Fail(Code::kUnavailable, StrCat(path_.string(), ": ", what, ": ", std::strerror(errno)));
}

// Lines after one that cannot be read are not trusted: they are packed again.
void Journal::Load(std::string_view text) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return;
    const auto value = model::ParseJson(text.substr(0, end), kJournalFile);
    if (!value || !value->is_object()) return;
    const model::JsonObject line(value->get_object(), std::string(kJournalFile));
    if (!job_) {
      auto job = ReadJob(line);
      if (!job) return;
      job_ = *std::move(job);
    } else {
      auto entry = ReadBlob(line);
      if (!entry) return;
      blobs_.insert_or_assign(entry->first, entry->second);
    }
    text.remove_prefix(end + 1);
  }
}

const store::Blob* Journal::Find(const std::string& key) const {
  const auto found = blobs_.find(key);
  return found != blobs_.end() ? &found->second : nullptr;
}

Status Journal::Begin(const Job& job) {
  blobs_.clear();
  job_ = job;
  if (::ftruncate(descriptor_, 0) != 0) return SystemFailure("cannot empty");
  return Append(json::serialize(json::object{{"checkpoint", store::Hex(job.checkpoint)},
                                             {"weights", job.weights},
                                             {"name", job.name},
                                             {"packer", job.packer}}));
}

Status Journal::Add(const std::string& key, const store::Blob& blob) {
  json::array chunks;
  for (const store::Sha256& chunk : blob.chunks) chunks.emplace_back(store::Hex(chunk));
  blobs_.insert_or_assign(key, blob);
  return Append(json::serialize(json::object{{"key", key},
                                             {"sha", store::Hex(blob.sha)},
                                             {"bytes", blob.bytes},
                                             {"chunks", std::move(chunks)}}));
}

Status Journal::Append(const std::string& line) {
  const std::string text = line + "\n";
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(descriptor_, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemFailure("cannot write");
    done += static_cast<size_t>(count);
  }
  if (::fdatasync(descriptor_) != 0) return SystemFailure("cannot flush");
  return {};
}

Status Journal::Remove() {
  if (::unlink(path_.c_str()) != 0) return SystemFailure("cannot remove");
  return {};
}

}  // namespace shoal::packer
