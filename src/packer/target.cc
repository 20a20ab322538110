#include "packer/target.h"

#include "base/str_cat.h"
#include "model/file.h"
#include "store/manifest.h"
#include "store/pack.h"

namespace shoal::packer {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kForceHint = "; --force replaces it";

std::unexpected<Error> InTheWay(const fs::path& path, std::string_view what) {
  return Fail(Code::kAlreadyExists, StrCat(path.string(), ": ", what, kForceHint));
}

std::unexpected<Error> FileFailure(const fs::path& path, const std::error_code& error) {
  return Fail(Code::kUnavailable, StrCat(path.string(), ": ", error.message()));
}

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// As --weights names them.
std::string WeightsOf(const store::Manifest& manifest) {
  std::string names;
  for (const store::Variant& variant : manifest.variants) {
    names += StrCat(names.empty() ? "" : ",", variant.weights);
  }
  return names;
}

// Removes what packers write, and nothing else.
Status RemovePack(const fs::path& folder) {
  for (const fs::path& path : {folder / store::kManifestFile, folder / "blobs"}) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) return FileFailure(path, error);
  }
  return {};
}

}  // namespace

Status CheckTarget(const PackOptions& options) {
  if (options.force) return {};
  std::error_code error;
  const fs::file_status status = fs::status(options.pack, error);
  if (status.type() == fs::file_type::not_found) return {};
  if (error) return FileFailure(options.pack, error);
  if (!fs::is_directory(status)) return InTheWay(options.pack, "something is in the way");
  const bool empty = fs::is_empty(options.pack, error);
  if (error) return FileFailure(options.pack, error);
  if (empty || Exists(options.pack / store::kManifestFile) || Exists(options.pack / kJournalFile)) {
    return {};
  }
  return InTheWay(options.pack, "a folder that is neither empty nor a pack is in the way");
}

Result<std::optional<PackOutcome>> FindExisting(const PackOptions& options, const Job& job) {
  if (options.force || !Exists(options.pack / store::kManifestFile)) return std::nullopt;
  const auto pack = store::Pack::Open(options.pack);
  if (!pack) {
    return Fail(pack.error().code,
                StrCat("the pack that is there is damaged: ", pack.error().detail, kForceHint));
  }
  const store::Manifest& manifest = pack->manifest();
  std::string difference;
  if (manifest.origin.checkpoint != job.checkpoint) {
    difference = "made of another checkpoint";
  } else if (const std::string weights = WeightsOf(manifest); weights != job.weights) {
    difference = StrCat("with ", weights, " weights");
  } else if (manifest.name != job.name) {
    difference = StrCat("called \"", manifest.name, "\"");
  } else if (manifest.origin.packer != job.packer) {
    difference = StrCat("made by ", manifest.origin.packer);
  }
  if (difference.empty()) return PackOutcome{.unchanged = true, .id = pack->id()};
  return InTheWay(options.pack, StrCat("another pack, ", difference, ", is in the way"));
}

Result<Journal> PrepareTarget(const PackOptions& options, const Job& job) {
  std::error_code error;
  if (options.force && Exists(options.pack) && !fs::is_directory(options.pack, error)) {
    fs::remove(options.pack, error);
    if (error) return FileFailure(options.pack, error);
  }
  fs::create_directories(options.pack, error);
  if (error) return FileFailure(options.pack, error);
  ASSIGN_OR_RETURN(Journal journal, Journal::Open(options.pack));
  if (!options.force && journal.job() == job) return journal;
  if (!options.force && journal.job()) {
    return InTheWay(options.pack, "an unfinished pack of something else is in the way");
  }
  if (options.force) RETURN_IF_ERROR(RemovePack(options.pack));
  RETURN_IF_ERROR(journal.Begin(job));
  return journal;
}

}  // namespace shoal::packer
