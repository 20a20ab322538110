// A pack on disk: a manifest and blobs named by their SHA-256 (docs/pack-format.md).
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/file.h"
#include "store/manifest.h"
#include "store/sha256.h"

namespace shoal::store {

// Immutable after opening; every method may be called from several threads at once.
class Pack {
 public:
  // Reads and checks the manifest, and that every blob is there with its size. Blobs are not read:
  // that is Verify's work. kNotFound when `folder` holds no pack.
  static Result<Pack> Open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  const Manifest& manifest() const { return manifest_; }
  // Names the content: equal ids, equal packs.
  const Sha256& id() const { return id_; }

  // The manifest's entry; null for a hash that is not in it.
  const Blob* FindBlob(const Sha256& sha) const;
  // Maps a blob of the manifest; kNotFound for another hash, kDataLoss when its size is wrong.
  Result<model::MappedFile> MapBlob(const Sha256& sha) const;
  // A file that was packed along ("tokenizer.json"), verified; kNotFound when there was none.
  Result<std::string> ReadPackedFile(std::string_view name) const;

  // Reads one blob of the manifest and compares its hashes; kDataLoss names the file and the first
  // damaged chunk. `progress`, if given, hears of every chunk's bytes.
  Status VerifyBlob(const Sha256& sha,
                    const std::function<void(uint64_t)>& progress = nullptr) const;
  // The same for every blob; calls `progress` with the bytes done and in all.
  // Gives what is wrong, one error per damaged blob.
  std::vector<Error> Verify(const std::function<void(uint64_t, uint64_t)>& progress) const;

 private:
  Pack(std::filesystem::path folder, IdentifiedManifest manifest)
      : folder_(std::move(folder)), id_(manifest.id), manifest_(std::move(manifest.manifest)) {}

  std::filesystem::path folder_;
  Sha256 id_;
  Manifest manifest_;
};

}  // namespace shoal::store
