// Files on disk: mapped into memory, read whole, or written so that a crash leaves either the old
// or the new content.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace shoal::model {

// A file mapped read-only. Views into bytes() live as long as this object, also after a move. The
// file must not be shortened by anyone meanwhile (reading past the new end kills the process);
// replacing it by rename is safe.
class MappedFile {
 public:
  // kNotFound when there is no such file; kInvalidArgument when it is not a regular file.
  static Result<MappedFile> Open(const std::filesystem::path& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  Bytes bytes() const { return {data_, size_}; }
  // Gives the pages of `part`, a part of bytes(), back to the system: they are read again when they
  // are touched again. Keeps a stream over a large file from counting as resident memory.
  void Forget(Bytes part) const;

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// The whole of a file of at most `max_bytes`; kResourceExhausted when it is larger.
Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes);

// Writes `bytes` to a temporary file beside `path`, flushes it to the disk and renames it.
Status WriteFileAtomically(const std::filesystem::path& path, Bytes bytes);

// Flushes a folder's entries to the disk, so that a rename in it survives a crash.
Status SyncFolder(const std::filesystem::path& folder);

}  // namespace shoal::model
