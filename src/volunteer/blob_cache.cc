#include "volunteer/blob_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"
#include "model/file.h"
#include "store/sha256.h"

namespace shoal::volunteer {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPartialSuffix = ".part";
// A download that nobody has gone on with for so long is not waited for.
constexpr auto kPartialAgeMax = std::chrono::hours(24);
// Left free on the disk, for everything else.
constexpr uint64_t kDiskReserveBytes = 256u << 20;

std::unexpected<Error> SystemFailure(const fs::path& path, std::string_view what) {
  const Code code = errno == EACCES || errno == EPERM || errno == EROFS ? Code::kPermissionDenied
                    : errno == ENOSPC || errno == EDQUOT                ? Code::kResourceExhausted
                                                                        : Code::kUnavailable;
  return Fail(code, StrCat("cannot ", what, " ", path.string(), ": ",
                           std::error_code(errno, std::generic_category()).message()));
}

fs::path PathIn(const fs::path& folder, const std::string& location) {
  return folder / location.substr(0, 2) / location;
}

bool IsFileOf(const fs::path& path, uint64_t bytes) {
  std::error_code error;
  return fs::is_regular_file(path, error) && fs::file_size(path, error) == bytes && !error;
}

struct CachedFile {
  fs::path path;
  uint64_t bytes = 0;
  fs::file_time_type used_at;
  bool is_partial = false;
};

// Every file of the cache; other files that somebody put there are left alone.
std::vector<CachedFile> FilesIn(const fs::path& folder) {
  std::vector<CachedFile> files;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code gone;
    if (!at->is_regular_file(gone) || gone) continue;
    const fs::path& path = at->path();
    const bool is_partial = path.extension() == kPartialSuffix;
    const std::string name = is_partial ? path.stem().string() : path.filename().string();
    if (!store::ParseSha256(name)) continue;
    CachedFile file{path, at->file_size(gone), at->last_write_time(gone), is_partial};
    if (!gone) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace

Result<PartialFile> PartialFile::Open(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return SystemFailure(path, "open");
  PartialFile file(path, descriptor, 0);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) return SystemFailure(path, "lock");
  struct stat found = {};
  struct stat named = {};
  if (::fstat(descriptor, &found) != 0) return SystemFailure(path, "look at");
  // Whoever held the lock before may have given the file its name or removed it.
  if (::stat(path.c_str(), &named) != 0 || named.st_ino != found.st_ino) {
    errno = EAGAIN;
    return SystemFailure(path, "lock");
  }
  file.bytes_ = static_cast<uint64_t>(found.st_size);
  return file;
}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_) {}

PartialFile::~PartialFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status PartialFile::Read(uint64_t offset, std::span<uint8_t> out) const {
  CHECK(offset + out.size() <= bytes_);
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return SystemFailure(path_, "read");
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return {};
}

Status PartialFile::Write(uint64_t offset, Bytes bytes) {
  CHECK(offset <= bytes_);
  if (::ftruncate(descriptor_, static_cast<off_t>(offset)) != 0) {
    return SystemFailure(path_, "shorten");
  }
  bytes_ = offset;
  while (!bytes.empty()) {
    const ssize_t put =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(bytes_));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return SystemFailure(path_, "write");
    bytes = bytes.subspan(static_cast<size_t>(put));
    bytes_ += static_cast<uint64_t>(put);
  }
  return {};
}

Status PartialFile::Commit(const fs::path& path) {
  if (::fsync(descriptor_) != 0) return SystemFailure(path_, "flush");
  if (::rename(path_.c_str(), path.c_str()) != 0) return SystemFailure(path, "make");
  return {};
}

void PartialFile::Discard() { ::unlink(path_.c_str()); }

Result<BlobCache> BlobCache::Open(Options options) {
  std::error_code error;
  fs::create_directories(options.folder, error);
  if (error || !fs::is_directory(options.folder, error)) {
    return Fail(Code::kPermissionDenied, StrCat("cannot make the cache folder ",
                                                options.folder.string(), ": ", error.message()));
  }
  if (!options.pack.empty()) options.pack /= "blobs";
  return BlobCache(std::move(options));
}

std::vector<wire::Sha256> BlobCache::List(size_t count_max) const {
  std::vector<wire::Sha256> names;
  for (const fs::path& folder : {options_.folder, options_.pack}) {
    if (folder.empty()) continue;
    for (const CachedFile& file : FilesIn(folder)) {
      if (names.size() == count_max) return names;
      if (!file.is_partial) names.push_back(*store::ParseSha256(file.path.filename().string()));
    }
  }
  return names;
}

std::optional<fs::path> BlobCache::Find(const std::string& location, uint64_t bytes) const {
  if (!options_.pack.empty()) {
    fs::path packed = PathIn(options_.pack, location);
    if (IsFileOf(packed, bytes)) return packed;
  }
  fs::path path = PathOf(location);
  if (!IsFileOf(path, bytes)) return std::nullopt;
  // Its time says when it was last of use.
  std::error_code error;
  fs::last_write_time(path, fs::file_time_type::clock::now(), error);
  return path;
}

fs::path BlobCache::PathOf(const std::string& location) const {
  return PathIn(options_.folder, location);
}

Result<PartialFile> BlobCache::Begin(const std::string& location) const {
  const fs::path path = PathOf(location);
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  Result<PartialFile> shared = PartialFile::Open(path.string() + kPartialSuffix);
  if (shared || shared.error().code != Code::kUnavailable) return shared;
  // Another process fetches it as well: each goes on by itself, and the last one's rename wins.
  std::string own = StrCat(path.string(), ".XXXXXX", kPartialSuffix);
  const int made = ::mkstemps(own.data(), static_cast<int>(std::strlen(kPartialSuffix)));
  if (made < 0) return SystemFailure(own, "make");
  ::close(made);
  return PartialFile::Open(own);
}

void BlobCache::Remove(const std::string& location) const {
  std::error_code error;
  fs::remove(PathOf(location), error);
}

Status BlobCache::MakeRoom(uint64_t bytes_more, const std::set<std::string>& keep) const {
  std::vector<CachedFile> files = FilesIn(options_.folder);
  std::ranges::sort(files, {}, &CachedFile::used_at);
  uint64_t held = 0;
  for (const CachedFile& file : files) held += file.bytes;
  const auto free_bytes = [this] {
    std::error_code error;
    const fs::space_info space = fs::space(options_.folder, error);
    return error ? UINT64_MAX : uint64_t{space.available};
  };
  const auto fits = [&] {
    return (bytes_more <= options_.bytes_max && held <= options_.bytes_max - bytes_more) &&
           free_bytes() >= bytes_more + kDiskReserveBytes;
  };
  const auto now = fs::file_time_type::clock::now();
  for (const CachedFile& file : files) {
    const bool is_old_partial = file.is_partial && now - file.used_at > kPartialAgeMax;
    if (!is_old_partial && (file.is_partial || fits())) continue;
    if (!file.is_partial && keep.contains(file.path.filename().string())) continue;
    std::error_code error;
    if (fs::remove(file.path, error)) held -= file.bytes;
  }
  if (const uint64_t free = free_bytes(); free < bytes_more + kDiskReserveBytes) {
    return Fail(Code::kResourceExhausted,
                StrCat("the disk of ", options_.folder.string(), " has ", FormatSize(free),
                       " left, the stage needs ", FormatSize(bytes_more)));
  }
  return {};
}

Status VerifyFile(const fs::path& path, const std::string& location) {
  ASSIGN_OR_RETURN(const model::MappedFile file, model::MappedFile::Open(path));
  store::Sha256Hasher hasher;
  for (size_t at = 0; at < file.bytes().size(); at += store::kChunkBytes) {
    const size_t length = std::min<size_t>(store::kChunkBytes, file.bytes().size() - at);
    const Bytes part = file.bytes().subspan(at, length);
    hasher.Update(part);
    file.Forget(part);
  }
  if (const std::string found = store::Hex(hasher.Finish()); found != location) {
    return Fail(Code::kDataLoss, StrCat(path.string(), " has SHA-256 ", found));
  }
  return {};
}

}  // namespace shoal::volunteer
