// Serves the built pages: the files below one folder.
//
// "/" and "/a/" are index.html there; "/lend" is lend, lend.html or lend/index.html, the first that
// exists. A .br or .gz beside a file is sent to clients that take it. Everything carries the
// headers that make a page cross-origin isolated, so that it may use SharedArrayBuffer.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "net/http.h"

namespace shoal::net {

// COOP same-origin, COEP require-corp, CORP same-origin, and nosniff.
void AddIsolationHeaders(Headers& headers);

// "text/html; charset=utf-8" for ".html"; application/octet-stream for what is not known.
std::string_view ContentTypeOf(const std::filesystem::path& path);

class StaticSite {
 public:
  struct Options {
    // Paths below it never change their content: cached for a year. Others are revalidated.
    std::string immutable_prefix = "/assets/";
  };
  // `root` need not exist yet; then everything is 404.
  explicit StaticSite(std::filesystem::path root) : StaticSite(std::move(root), Options()) {}
  StaticSite(std::filesystem::path root, Options options);

  // 200, 206, 304, 404, 405 or 416. Hidden files (a segment that begins with '.') and whatever lies
  // outside of the root, also behind a symbolic link, are 404.
  Response Answer(const Request& request) const;

 private:
  std::filesystem::path Resolve(std::string_view path) const;

  std::filesystem::path root_;
  Options options_;
};

}  // namespace shoal::net
