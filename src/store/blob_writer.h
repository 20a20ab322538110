// Writes one blob of a pack: under a temporary name while it grows, under its hash when it is whole
// and on the disk. A crash leaves no half blob under a blob's name.
#pragma once

#include <filesystem>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "store/sha256.h"

namespace shoal::store {

// Where a blob lies within a pack: blobs/<first two hex digits>/<sha256>.
std::filesystem::path BlobPath(const std::filesystem::path& pack, const Sha256& sha);

// Removes what writers that were interrupted left behind. Nobody else may be writing.
Status RemoveUnfinishedBlobs(const std::filesystem::path& pack);

class BlobWriter {
 public:
  // One writer per pack at a time.
  static Result<BlobWriter> Create(const std::filesystem::path& pack);
  BlobWriter(BlobWriter&& other) noexcept;
  BlobWriter& operator=(BlobWriter&&) = delete;
  // Removes the temporary file unless Finish has succeeded.
  ~BlobWriter();

  uint64_t bytes() const { return bytes_; }
  Status Write(Bytes bytes);
  // Writes zeros up to a multiple of `alignment`.
  Status Align(uint64_t alignment);
  // Flushes, renames and describes the blob; the writer is spent.
  Result<Blob> Finish();

 private:
  BlobWriter(std::filesystem::path pack, std::filesystem::path temporary, int descriptor)
      : pack_(std::move(pack)), temporary_(std::move(temporary)), descriptor_(descriptor) {}
  std::unexpected<Error> SystemFailure(std::string_view what) const;

  std::filesystem::path pack_;
  std::filesystem::path temporary_;
  int descriptor_;
  uint64_t bytes_ = 0;
  BlobHasher hasher_;
};

// A blob that is in memory already. Writing one that is there is cheap and harmless.
Result<Blob> WriteBlob(const std::filesystem::path& pack, Bytes bytes);

}  // namespace shoal::store
