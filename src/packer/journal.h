// The journal of an unfinished pack, packing.jsonl in its folder: which blobs are done, so that an
// interrupted run goes on where it stopped. Its lock keeps two packers out of one folder.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "store/sha256.h"

namespace shoal::packer {

inline constexpr std::string_view kJournalFile = "packing.jsonl";

// What is being packed. Blobs of a journal count only for an equal job.
struct Job {
  store::Sha256 checkpoint{};  // Fingerprint of the input.
  std::string weights;
  std::string name;
  std::string packer;  // Program and version.
  bool operator==(const Job&) const = default;
};

class Journal {
 public:
  // Opens or creates the journal of a pack folder and locks it. kUnavailable when another packer
  // holds it. A last line that was cut short is dropped.
  static Result<Journal> Open(const std::filesystem::path& pack);
  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&&) = delete;
  ~Journal();

  // Nothing in a new journal.
  const std::optional<Job>& job() const { return job_; }
  // The blob that was finished under this key, if it was.
  const store::Blob* Find(const std::string& key) const;

  // Forgets everything and begins a new job.
  Status Begin(const Job& job);
  // Notes a finished blob, on the disk when this returns.
  Status Add(const std::string& key, const store::Blob& blob);
  // Deletes the file: the pack is complete.
  Status Remove();

 private:
  Journal(std::filesystem::path path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}
  void Load(std::string_view text);
  Status Append(const std::string& line);
  std::unexpected<Error> SystemFailure(std::string_view what) const;

  std::filesystem::path path_;
  int descriptor_;
  std::optional<Job> job_;
  std::map<std::string, store::Blob> blobs_;
};

}  // namespace shoal::packer
