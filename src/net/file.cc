#include "net/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/str_cat.h"

namespace shoal::net {
namespace {

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::string Hex(uint64_t value) {
  std::array<char, 16> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  return {digits.data(), end};
}

std::string_view WithoutWeakMark(std::string_view tag) {
  return tag.starts_with("W/") ? tag.substr(2) : tag;
}

// If-None-Match: a list of tags, compared weakly (RFC 9110, 13.1.2).
bool MatchesAny(std::string_view list, std::string_view etag) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    std::string_view item = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    const size_t first = item.find_first_not_of(" \t");
    if (first == std::string_view::npos) continue;
    item = item.substr(first, item.find_last_not_of(" \t") - first + 1);
    if (item == "*" || WithoutWeakMark(item) == WithoutWeakMark(etag)) return true;
  }
  return false;
}

}  // namespace

Result<std::shared_ptr<const OpenFile>> OpenFile::Open(const std::filesystem::path& path) {
  // Without O_NONBLOCK the opening of a FIFO would wait for a writer.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    Code code = Code::kUnavailable;
    if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG) code = Code::kNotFound;
    if (errno == EACCES) code = Code::kPermissionDenied;
    return Fail(code, StrCat("cannot open ", path.string(), ": ", std::strerror(errno)));
  }
  struct stat info = {};
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(descriptor);
    return Fail(Code::kNotFound, StrCat(path.string(), " is not a regular file"));
  }
  const int64_t modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  return std::make_shared<const OpenFile>(descriptor, static_cast<uint64_t>(info.st_size),
                                          modified_ns);
}

OpenFile::OpenFile(int descriptor, uint64_t size, int64_t modified_ns)
    : descriptor_(descriptor), size_(size), modified_ns_(modified_ns) {}
OpenFile::~OpenFile() { close(descriptor_); }

Status OpenFile::ReadAt(uint64_t offset, std::span<uint8_t> out) const {
  while (!out.empty()) {
    const ssize_t count = pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(Code::kDataLoss, StrCat("cannot read: ", std::strerror(errno)));
    if (count == 0) return Fail(Code::kDataLoss, "the file has become shorter");
    out = out.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return {};
}

ByteRange ParseRange(std::string_view header, uint64_t size) {
  const ByteRange whole{ByteRange::Kind::kWhole, 0, size};
  constexpr std::string_view kUnit = "bytes=";
  if (header.size() < kUnit.size() || !EqualsIgnoreCase(header.substr(0, kUnit.size()), kUnit)) {
    return whole;
  }
  header.remove_prefix(kUnit.size());
  const size_t dash = header.find('-');
  if (dash == std::string_view::npos || header.find(',') != std::string_view::npos) return whole;
  const std::string_view first_text = header.substr(0, dash);
  const std::string_view last_text = header.substr(dash + 1);
  const auto first = ParseNumber(first_text);
  const auto last = ParseNumber(last_text);
  if ((!first_text.empty() && !first) || (!last_text.empty() && !last)) return whole;
  if (!first && !last) return whole;
  const ByteRange unsatisfiable{ByteRange::Kind::kUnsatisfiable, 0, 0};
  if (!first) {  // The last so many bytes.
    if (*last == 0 || size == 0) return unsatisfiable;
    const uint64_t length = std::min(*last, size);
    return {ByteRange::Kind::kPart, size - length, length};
  }
  if (last && *last < *first) return whole;
  if (*first >= size) return unsatisfiable;
  const uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return {ByteRange::Kind::kPart, *first, end - *first + 1};
}

Response FileResponse(const Request& request, std::shared_ptr<const OpenFile> file,
                      const FileOptions& options) {
  if (request.method != "GET" && request.method != "HEAD") {
    Response refusal = TextResponse(405, "a file is there for GET and HEAD\n");
    refusal.headers.Set("Allow", "GET, HEAD");
    return refusal;
  }
  const uint64_t size = file->size();
  const std::string etag =
      options.etag.empty()
          ? StrCat('"', Hex(size), '-', Hex(static_cast<uint64_t>(file->modified_ns())), '"')
          : options.etag;
  Response response;
  response.headers = options.headers;
  response.headers.Set("Content-Type", options.content_type);
  response.headers.Set("ETag", etag);
  response.headers.Set("Cache-Control", options.cache_control);
  response.headers.Set("Accept-Ranges", "bytes");
  const auto none_match = request.headers.Find("If-None-Match");
  if (none_match && MatchesAny(*none_match, etag)) {
    response.status = 304;
    return response;
  }
  ByteRange range{ByteRange::Kind::kWhole, 0, size};
  const auto if_range = request.headers.Find("If-Range");
  // If-Range compares strongly; a date never matches, since no Last-Modified is given.
  if (!if_range || (*if_range == etag && !etag.starts_with("W/"))) {
    range = ParseRange(request.headers.Get("Range"), size);
  }
  if (range.kind == ByteRange::Kind::kUnsatisfiable) {
    response.status = 416;
    response.headers.Set("Content-Type", "text/plain; charset=utf-8");
    response.headers.Set("Content-Range", StrCat("bytes */", size));
    response.body = StrCat("the file has ", size, " bytes\n");
    return response;
  }
  if (range.kind == ByteRange::Kind::kPart) {
    response.status = 206;
    response.headers.Set("Content-Range", StrCat("bytes ", range.offset, '-',
                                                 range.offset + range.length - 1, '/', size));
  }
  response.body = FileRange{std::move(file), range.offset, range.length};
  return response;
}

}  // namespace shoal::net
