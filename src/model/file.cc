#include "model/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::model {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  int get() const { return value_; }

 private:
  int value_;
};

std::unexpected<Error> SystemFailure(const std::filesystem::path& path, std::string_view what) {
  const int error = errno;
  const Code code = error == ENOENT || error == ENOTDIR  ? Code::kNotFound
                    : error == EACCES || error == EPERM  ? Code::kPermissionDenied
                    : error == ENOSPC || error == EDQUOT ? Code::kResourceExhausted
                                                         : Code::kUnavailable;
  return Fail(code, StrCat(path.string(), ": ", what, ": ", std::strerror(error)));
}

// Opens a regular file for reading and tells its size.
Result<uint64_t> RegularFileSize(const std::filesystem::path& path, const Descriptor& file) {
  if (file.get() < 0) return SystemFailure(path, "cannot open");
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return SystemFailure(path, "cannot stat");
  if (!S_ISREG(info.st_mode)) {
    return Fail(Code::kInvalidArgument, StrCat(path.string(), ": not a regular file"));
  }
  return static_cast<uint64_t>(info.st_size);
}

}  // namespace

Result<MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  ASSIGN_OR_RETURN(const uint64_t size, RegularFileSize(path, file));
  MappedFile mapped;
  if (size == 0) return mapped;
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED) return SystemFailure(path, "cannot map");
  mapped.data_ = static_cast<const uint8_t*>(data);
  mapped.size_ = size;
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<uint8_t*>(data_), size_);
}

void MappedFile::Forget(Bytes part) const {
  if (part.empty()) return;
  CHECK(part.data() >= data_ && part.data() + part.size() <= data_ + size_);
  // Whole pages only: outwards, since a page that is still needed is only read again.
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = static_cast<size_t>(part.data() - data_) / page * page;
  const size_t end = static_cast<size_t>(part.data() - data_) + part.size();
  // Only advice: a failure costs memory, not correctness.
  ::madvise(const_cast<uint8_t*>(data_) + begin, end - begin, MADV_DONTNEED);
}

Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t max_bytes) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  ASSIGN_OR_RETURN(const uint64_t size, RegularFileSize(path, file));
  if (size > max_bytes) {
    return Fail(Code::kResourceExhausted,
                StrCat(path.string(), ": ", size, " bytes, more than the limit of ", max_bytes));
  }
  std::string content(size, '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = ::read(file.get(), content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemFailure(path, "cannot read");
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  content.resize(done);
  return content;
}

Status WriteFileAtomically(const std::filesystem::path& path, Bytes bytes) {
  std::filesystem::path temporary = path;
  temporary += ".tmp";
  {
    const Descriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) return SystemFailure(temporary, "cannot create");
    while (!bytes.empty()) {
      const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return SystemFailure(temporary, "cannot write");
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
    if (::fsync(file.get()) != 0) return SystemFailure(temporary, "cannot flush");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return SystemFailure(path, "cannot rename");
  return SyncFolder(path.parent_path());
}

Status SyncFolder(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder.empty() ? std::filesystem::path(".") : folder;
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0) return SystemFailure(path, "cannot open");
  // Some file systems do not know how to flush a folder; that is no reason to fail.
  if (::fsync(file.get()) != 0 && errno != EINVAL) return SystemFailure(path, "cannot flush");
  return {};
}

}  // namespace shoal::model
