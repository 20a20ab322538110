#include "store/blob_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "model/file.h"

namespace shoal::store {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kTemporaryName = "unfinished";

std::unexpected<Error> FolderFailure(const fs::path& path, const std::error_code& error) {
  return Fail(Code::kUnavailable, StrCat(path.string(), ": ", error.message()));
}

}  // namespace

fs::path BlobPath(const fs::path& pack, const Sha256& sha) {
  const std::string hex = Hex(sha);
  return pack / "blobs" / hex.substr(0, 2) / hex;
}

Status RemoveUnfinishedBlobs(const fs::path& pack) {
  std::error_code error;
  fs::remove(pack / "blobs" / kTemporaryName, error);
  if (error) return FolderFailure(pack / "blobs", error);
  return {};
}

Result<BlobWriter> BlobWriter::Create(const fs::path& pack) {
  std::error_code error;
  fs::create_directories(pack / "blobs", error);
  if (error) return FolderFailure(pack / "blobs", error);
  fs::path temporary = pack / "blobs" / kTemporaryName;
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  BlobWriter writer(pack, std::move(temporary), descriptor);
  if (descriptor < 0) return writer.SystemFailure("cannot create");
  return writer;
}

BlobWriter::BlobWriter(BlobWriter&& other) noexcept
    : pack_(std::move(other.pack_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_),
      hasher_(std::move(other.hasher_)) {}

BlobWriter::~BlobWriter() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

std::unexpected<Error> BlobWriter::SystemFailure(std::string_view what) const {
  const int error = errno;
  return Fail(error == ENOSPC || error == EDQUOT ? Code::kResourceExhausted : Code::kUnavailable,
              StrCat(temporary_.string(), ": ", what, ": ", std::strerror(error)));
}

Status BlobWriter::Write(Bytes bytes) {
  CHECK(descriptor_ >= 0);
  hasher_.Update(bytes);
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemFailure("cannot write");
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

Status BlobWriter::Align(uint64_t alignment) {
  static constexpr uint8_t kZeros[256] = {};
  CHECK(alignment > 0 && alignment <= sizeof(kZeros));
  const uint64_t past = bytes_ % alignment;
  if (past == 0) return {};
  return Write(Bytes(kZeros, alignment - past));
}

Result<Blob> BlobWriter::Finish() {
  CHECK(descriptor_ >= 0);
  if (::fsync(descriptor_) != 0) return SystemFailure("cannot flush");
  Blob blob = hasher_.Finish();
  const fs::path path = BlobPath(pack_, blob.sha);
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) return FolderFailure(path.parent_path(), error);
  if (::rename(temporary_.c_str(), path.c_str()) != 0) return SystemFailure("cannot rename");
  ::close(std::exchange(descriptor_, -1));
  RETURN_IF_ERROR(model::SyncFolder(path.parent_path()));
  return blob;
}

Result<Blob> WriteBlob(const fs::path& pack, Bytes bytes) {
  ASSIGN_OR_RETURN(BlobWriter writer, BlobWriter::Create(pack));
  RETURN_IF_ERROR(writer.Write(bytes));
  return writer.Finish();
}

}  // namespace shoal::store
