#include "net/static_site.h"

#include <array>
#include <system_error>
#include <utility>

#include "base/str_cat.h"
#include "net/file.h"

namespace shoal::net {
namespace {

namespace fs = std::filesystem;

constexpr std::pair<std::string_view, std::string_view> kContentTypes[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".wasm", "application/wasm"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".webp", "image/webp"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/markdown; charset=utf-8"},
    {".xml", "application/xml"},
};

struct Coding {
  std::string_view token;
  std::string_view extension;
};
constexpr std::array<Coding, 2> kCodings = {{{"br", ".br"}, {"gzip", ".gz"}}};

bool IsRegularFile(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// Whether any segment is hidden, or means something to the file system that it does not in a URL.
bool IsForbidden(std::string_view path) {
  return path.find("/.") != std::string_view::npos || path.find('\\') != std::string_view::npos;
}

bool IsBelow(const fs::path& path, const fs::path& root) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) return false;
  const fs::path real_root = fs::canonical(root, error);
  if (error) return false;
  const auto [root_at, path_at] =
      std::mismatch(real_root.begin(), real_root.end(), real.begin(), real.end());
  return root_at == real_root.end();
}

}  // namespace

void AddIsolationHeaders(Headers& headers) {
  headers.Set("Cross-Origin-Opener-Policy", "same-origin");
  headers.Set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.Set("Cross-Origin-Resource-Policy", "same-origin");
  headers.Set("X-Content-Type-Options", "nosniff");
}

std::string_view ContentTypeOf(const fs::path& path) {
  const std::string extension = path.extension().string();
  for (const auto& [known, type] : kContentTypes) {
    if (EqualsIgnoreCase(extension, known)) return type;
  }
  return "application/octet-stream";
}

StaticSite::StaticSite(fs::path root, Options options)
    : root_(std::move(root)), options_(std::move(options)) {}

// The file meant, or nothing.
fs::path StaticSite::Resolve(std::string_view path) const {
  if (!path.starts_with('/') || IsForbidden(path)) return {};
  const fs::path below = root_ / fs::path(path.substr(1));
  fs::path file;
  if (path.ends_with('/')) {
    file = below / "index.html";
  } else if (IsRegularFile(below)) {
    file = below;
  } else if (const fs::path page = below.string() + ".html"; IsRegularFile(page)) {
    file = page;
  } else {
    file = below / "index.html";
  }
  return IsRegularFile(file) && IsBelow(file, root_) ? file : fs::path();
}

Response StaticSite::Answer(const Request& request) const {
  const auto not_found = [] {
    Response response = TextResponse(404, "there is no such page\n");
    AddIsolationHeaders(response.headers);
    return response;
  };
  const fs::path file = Resolve(request.path);
  if (file.empty()) return not_found();
  FileOptions options;
  options.content_type = ContentTypeOf(file);
  AddIsolationHeaders(options.headers);
  if (request.path.starts_with(options_.immutable_prefix)) {
    options.cache_control = "public, max-age=31536000, immutable";
  }
  fs::path chosen = file;
  for (const Coding& coding : kCodings) {
    const fs::path packed = file.string() + std::string(coding.extension);
    if (!IsRegularFile(packed) || !IsBelow(packed, root_)) continue;
    options.headers.Set("Vary", "Accept-Encoding");
    if (chosen != file || !request.headers.HasToken("Accept-Encoding", coding.token)) continue;
    chosen = packed;
    options.headers.Set("Content-Encoding", coding.token);
  }
  auto opened = OpenFile::Open(chosen);
  if (!opened) return not_found();
  Response response = FileResponse(request, *std::move(opened), options);
  AddIsolationHeaders(response.headers);
  return response;
}

}  // namespace shoal::net
