// Files as HTTP answers: ranges, conditions, and never a whole file in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace shoal::net {

// A regular file, open for reading; size and times are those at opening.
class OpenFile {
 public:
  // kNotFound when there is no such regular file, kPermissionDenied when it may not be read.
  static Result<std::shared_ptr<const OpenFile>> Open(const std::filesystem::path& path);
  OpenFile(int descriptor, uint64_t size, int64_t modified_ns);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  uint64_t size() const { return size_; }
  int64_t modified_ns() const { return modified_ns_; }  // Since 1970.
  // Fills `out` from `offset`; blocks. kDataLoss when the file has become shorter. Any thread.
  Status ReadAt(uint64_t offset, std::span<uint8_t> out) const;

 private:
  int descriptor_;
  uint64_t size_;
  int64_t modified_ns_;
};

// A single "bytes=" range against a size, RFC 9110 section 14. Several ranges, other units and
// malformed ones are ignored, as the RFC allows: the whole is meant.
struct ByteRange {
  enum class Kind { kWhole, kPart, kUnsatisfiable };
  Kind kind = Kind::kWhole;
  uint64_t offset = 0;
  uint64_t length = 0;
};
ByteRange ParseRange(std::string_view header, uint64_t size);

struct FileOptions {
  std::string content_type = "application/octet-stream";
  std::string etag;  // With its quotes; empty: made from size and time of change.
  std::string cache_control = "no-cache";
  Headers headers;  // More of them.
};

// The answer to a GET or HEAD of an open file: 200, 206, 304 or 416 as If-None-Match, Range and
// If-Range ask; 405 for other methods.
Response FileResponse(const Request& request, std::shared_ptr<const OpenFile> file,
                      const FileOptions& options);

}  // namespace shoal::net
