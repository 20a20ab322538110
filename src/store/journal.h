// What outlives a coordinator: who has done how much work, which plan ran, and which answers were
// being made. An append-only file of lines, "CRC32 JSON"; a line that was cut off by a crash ends
// it. Written at once, so that a killed process loses nothing; a power cut may lose seconds.
//
//   ASSIGN_OR_RETURN(Journal journal, Journal::Open(folder / "journal", "storyteller 5"));
//   journal.past().plan ...             // as it was
//   journal.Worked("1f..", 120);
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoal::store {

// A stage of the plan, and who held it, by their identities.
struct JournalStage {
  uint32_t pipeline = 0;
  uint32_t first = 0;  // Blocks [first, last).
  uint32_t last = 0;
  std::vector<std::string> holders;
  std::vector<std::string> weights;  // Of each holder: the set that it had. Empty: not recorded.
  bool operator==(const JournalStage&) const = default;
};

struct JournalState {
  std::map<std::string, uint64_t, std::less<>> work;  // By identity: rows times blocks.
  std::vector<JournalStage> plan;                     // In order; of the model that is served.
  std::set<uint64_t> open;                            // Sessions that had not ended.
  bool operator==(const JournalState&) const = default;
};

class Journal {
 public:
  // Reads what is there, writes it anew without what is over, and goes on behind it. A plan of
  // another `model` is forgotten. kFailedPrecondition while another process has it open,
  // kPermissionDenied when it cannot be written. Damage ends the reading, it is no error.
  static Result<Journal> Open(const std::filesystem::path& path, std::string_view model);
  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;
  ~Journal();

  // As it was when the journal was opened.
  const JournalState& past() const;
  // As it is now.
  const JournalState& state() const;

  void Worked(std::string_view identity, uint64_t block_rows);
  void Planned(std::vector<JournalStage> plan);
  void SessionOpened(uint64_t session);
  void SessionEnded(uint64_t session);
  // Work is gathered and written by this, which should be called every second or so.
  void Flush();

 private:
  struct Impl;
  explicit Journal(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::store
