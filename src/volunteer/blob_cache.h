// Files named by their SHA-256, kept on disk between runs: FOLDER/ab/abcd... as in a pack's folder
// of blobs. Several processes may share a folder: files appear by rename, and one that is removed
// while it is mapped stays readable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/frames.h"

namespace shoal::volunteer {

// A file on its way into the cache: whole chunks of it, from its start. Locked against other
// processes and objects while this object lives; what was written stays for the next one.
class PartialFile {
 public:
  // Opens or makes `path`. kUnavailable when it is locked.
  static Result<PartialFile> Open(const std::filesystem::path& path);
  PartialFile(PartialFile&& other) noexcept;
  PartialFile& operator=(PartialFile&& other) = delete;
  ~PartialFile();

  uint64_t bytes() const { return bytes_; }
  // Bytes [offset, offset + out.size()), which lie below bytes().
  Status Read(uint64_t offset, std::span<uint8_t> out) const;
  // Writes at `offset`, at most bytes(), in place of what follows.
  Status Write(uint64_t offset, Bytes bytes);
  // Flushes it to the disk and gives it its name.
  Status Commit(const std::filesystem::path& path);
  // Removes it.
  void Discard();

 private:
  PartialFile(std::filesystem::path path, int descriptor, uint64_t bytes)
      : path_(std::move(path)), descriptor_(descriptor), bytes_(bytes) {}

  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
};

class BlobCache {
 public:
  struct Options {
    std::filesystem::path folder;
    uint64_t bytes_max = uint64_t{64} << 30;  // Of all files; those in use may go beyond.
    std::filesystem::path pack;               // Its blobs are used where they lie; may be empty.
  };

  // Makes the folder. kPermissionDenied and the like say which folder could not be made.
  static Result<BlobCache> Open(Options options);

  // The files that are there, by the names they have; at most `count_max`.
  std::vector<wire::Sha256> List(size_t count_max) const;
  // Where a file of that name and size is; its content has not been read.
  std::optional<std::filesystem::path> Find(const std::string& location, uint64_t bytes) const;
  // Where a file of that name belongs.
  std::filesystem::path PathOf(const std::string& location) const;
  // The file that is being fetched; kUnavailable when it cannot be opened or no place is left.
  Result<PartialFile> Begin(const std::string& location) const;
  // Removes a file whose content is not what its name says; never one of the pack's.
  void Remove(const std::string& location) const;
  // Removes what was used least lately until `bytes_more` fit, never a file of `keep`.
  // kResourceExhausted when the disk has no room for them even so.
  Status MakeRoom(uint64_t bytes_more, const std::set<std::string>& keep) const;

 private:
  explicit BlobCache(Options options) : options_(std::move(options)) {}
  Options options_;
};

// Reads the file and compares; kDataLoss when its SHA-256 is not `location`.
Status VerifyFile(const std::filesystem::path& path, const std::string& location);

}  // namespace shoal::volunteer
