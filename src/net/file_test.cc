#include "net/file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/random.h"
#include "base/str_cat.h"
#include "net/client.h"
#include "net/server.h"
#include "net/static_site.h"
#include "net/test_support.h"

namespace shoal::net {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = fs::temp_directory_path() / "shoal_net_XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path Write(const std::string& name, std::string_view text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct RangeCase {
  const char* header;
  ByteRange::Kind kind;
  uint64_t offset;
  uint64_t length;
};

TEST(ParseRange, FollowsTheRfc) {
  using enum ByteRange::Kind;
  const RangeCase cases[] = {
      {"", kWhole, 0, 100},
      {"bytes=0-", kPart, 0, 100},
      {"bytes=0-0", kPart, 0, 1},
      {"Bytes=10-19", kPart, 10, 10},
      {"bytes=90-200", kPart, 90, 10},
      {"bytes=-10", kPart, 90, 10},
      {"bytes=-1000", kPart, 0, 100},
      {"bytes=-0", kUnsatisfiable, 0, 0},
      {"bytes=100-", kUnsatisfiable, 0, 0},
      {"bytes=5-4", kWhole, 0, 100},
      {"bytes=0-1,4-5", kWhole, 0, 100},
      {"bytes=-", kWhole, 0, 100},
      {"bytes=a-b", kWhole, 0, 100},
      {"bytes=1-x", kWhole, 0, 100},
      {"lines=1-2", kWhole, 0, 100},
      {"bytes=1", kWhole, 0, 100},
      {"bytes=99999999999999999999-", kWhole, 0, 100},
      {"bytes=--5", kWhole, 0, 100},
  };
  for (const RangeCase& expected : cases) {
    const ByteRange range = ParseRange(expected.header, 100);
    EXPECT_EQ(range.kind, expected.kind) << expected.header;
    EXPECT_EQ(range.offset, expected.offset) << expected.header;
    EXPECT_EQ(range.length, expected.length) << expected.header;
  }
  EXPECT_EQ(ParseRange("bytes=-5", 0).kind, kUnsatisfiable);
  EXPECT_EQ(ParseRange("bytes=0-", 0).kind, kUnsatisfiable);
}

TEST(OpenFile, TakesOnlyRegularFiles) {
  const Folder folder;
  EXPECT_EQ(OpenFile::Open(folder.path()).error().code, Code::kNotFound);
  EXPECT_EQ(OpenFile::Open(folder.path() / "none").error().code, Code::kNotFound);
  const auto file = OpenFile::Open(folder.Write("a", "hello"));
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->size(), 5u);
  ByteVector out(3);
  EXPECT_TRUE((*file)->ReadAt(1, out));
  EXPECT_EQ(AsText(out), "ell");
  EXPECT_EQ((*file)->ReadAt(3, out).error().code, Code::kDataLoss);
}

TEST(FileResponse, AnswersConditions) {
  const Folder folder;
  const auto file = *OpenFile::Open(folder.Write("a", "hello"));
  FileOptions options;
  options.etag = "\"tag\"";
  const auto status = [&](Headers headers, const std::string& method = "GET") {
    Request request;
    request.method = method;
    request.headers = std::move(headers);
    return FileResponse(request, file, options).status;
  };
  EXPECT_EQ(status({}), 200);
  EXPECT_EQ(status({}, "HEAD"), 200);
  EXPECT_EQ(status({}, "POST"), 405);
  EXPECT_EQ(status({{"If-None-Match", "\"tag\""}}), 304);
  EXPECT_EQ(status({{"If-None-Match", "\"x\", W/\"tag\" "}}), 304);
  EXPECT_EQ(status({{"If-None-Match", "*"}}), 304);
  EXPECT_EQ(status({{"If-None-Match", "\"tag"}}), 200);
  EXPECT_EQ(status({{"Range", "bytes=1-2"}}), 206);
  EXPECT_EQ(status({{"Range", "bytes=9-"}}), 416);
  EXPECT_EQ(status({{"Range", "bytes=1-2"}, {"If-Range", "\"tag\""}}), 206);
  EXPECT_EQ(status({{"Range", "bytes=1-2"}, {"If-Range", "\"old\""}}), 200);
  EXPECT_EQ(status({{"Range", "bytes=1-2"}, {"If-Range", "W/\"tag\""}}), 200);
  EXPECT_EQ(status({{"Range", "bytes=1-2"}, {"If-None-Match", "\"tag\""}}), 304);
}

class FileServerTest : public testing::Test {
 protected:
  void SetUp() override {
    Random random(1);
    for (size_t at = 0; at < (3u << 20) / 8; ++at) {
      const uint64_t value = random.NextU64();
      content_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    }
    path_ = folder_.Write("big", content_);
    auto listening = Server::Listen(loop_, {}, [this](Request request, Responder responder) {
      auto file = OpenFile::Open(path_);
      responder.Send(FileResponse(request, *file, {}));
    });
    ASSERT_TRUE(listening);
    server_ = *std::move(listening);
  }
  ClientResponse Get(Headers headers, const std::string& method = "GET") {
    ClientRequest request;
    request.method = method;
    request.url = StrCat("http://127.0.0.1:", server_->port(), "/");
    request.headers = std::move(headers);
    auto response = Fetch(loop_, request);
    EXPECT_TRUE(response) << response.error().ToString();
    return response.value_or(ClientResponse());
  }

  EventLoop loop_;
  Folder folder_;
  std::string content_;
  fs::path path_;
  std::unique_ptr<Server> server_;
};

TEST_F(FileServerTest, SendsWholeFilesAndParts) {
  EXPECT_TRUE(Get({}).body == content_);
  const ClientResponse head = Get({}, "HEAD");
  EXPECT_EQ(head.headers.Get("Content-Length"), StrCat(content_.size()));
  EXPECT_EQ(head.body, "");
  Random random(2);
  for (int at = 0; at < 20; ++at) {
    const uint64_t first = random.Below(content_.size());
    const uint64_t last = first + random.Below(content_.size());
    const ClientResponse part = Get({{"Range", StrCat("bytes=", first, '-', last)}});
    EXPECT_EQ(part.status, 206);
    const uint64_t end = std::min<uint64_t>(last, content_.size() - 1);
    EXPECT_EQ(part.headers.Get("Content-Range"),
              StrCat("bytes ", first, '-', end, '/', content_.size()));
    EXPECT_TRUE(part.body == content_.substr(first, end - first + 1));
  }
}

TEST_F(FileServerTest, AClientThatLeavesInTheMiddleHarmsNobody) {
  for (int at = 0; at < 5; ++at) {
    RawClient client(loop_, server_->port());
    client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.ReadBytes(100'000);
    if (at % 2 == 0) client.Reset();
  }
  EXPECT_TRUE(RunUntil(loop_, [&] { return server_->connections() == 0; }));
  EXPECT_TRUE(Get({}).body == content_);
}

TEST_F(FileServerTest, AFileThatShrinksCutsTheAnswer) {
  RawClient client(loop_, server_->port());
  client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  client.ReadUntil("\r\n\r\n");
  fs::resize_file(path_, 1000);
  EXPECT_LT(client.ReadToEnd().size(), content_.size());
}

class StaticSiteTest : public testing::Test {
 protected:
  StaticSiteTest() {
    folder_.Write("site/index.html", "root");
    folder_.Write("site/lend.html", "lend");
    folder_.Write("site/map/index.html", "map");
    folder_.Write("site/assets/app-1a2b.js", "plain");
    folder_.Write("site/assets/app-1a2b.js.br", "brotli");
    folder_.Write("site/assets/app-1a2b.js.gz", "gzip");
    folder_.Write("site/.hidden", "secret");
    folder_.Write("site/.git/config", "secret");
    folder_.Write("secret.html", "secret");
    fs::create_symlink(folder_.path() / "secret.html", folder_.path() / "site/link.html");
    fs::create_directory_symlink(folder_.path(), folder_.path() / "site/up");
    fs::create_symlink("lend.html", folder_.path() / "site/same.html");
  }
  Response Get(const std::string& path, Headers headers = {}) const {
    Request request;
    request.method = "GET";
    request.path = path;
    request.headers = std::move(headers);
    return StaticSite(folder_.path() / "site").Answer(request);
  }
  static std::string BodyOf(const Response& response) {
    const auto* range = std::get_if<FileRange>(&response.body);
    if (range == nullptr) return "";
    ByteVector bytes(range->length);
    EXPECT_TRUE(range->file->ReadAt(range->offset, bytes));
    return std::string(AsText(bytes));
  }

  Folder folder_;
};

TEST_F(StaticSiteTest, FindsPages) {
  EXPECT_EQ(BodyOf(Get("/")), "root");
  EXPECT_EQ(BodyOf(Get("/lend")), "lend");
  EXPECT_EQ(BodyOf(Get("/lend.html")), "lend");
  EXPECT_EQ(BodyOf(Get("/map")), "map");
  EXPECT_EQ(BodyOf(Get("/map/")), "map");
  EXPECT_EQ(BodyOf(Get("/same")), "lend");
  EXPECT_EQ(Get("/none").status, 404);
  EXPECT_EQ(Get("/assets").status, 404);
  Request request;
  request.method = "GET";
  request.path = "/";
  EXPECT_EQ(StaticSite("/nonexistent").Answer(request).status, 404);
}

TEST_F(StaticSiteTest, KeepsSecrets) {
  for (const char* path : {"/.hidden", "/.git/config", "/../secret.html", "/link.html", "/link",
                           "/up/secret.html", "/a\\..\\secret.html", "secret.html", "/./../x",
                           "/assets/../../secret.html", "//etc/passwd"}) {
    EXPECT_EQ(Get(path).status, 404) << path;
  }
}

TEST_F(StaticSiteTest, IsolatesAndCaches) {
  for (const char* path : {"/", "/assets/app-1a2b.js", "/none"}) {
    const Response response = Get(path);
    EXPECT_EQ(response.headers.Get("Cross-Origin-Opener-Policy"), "same-origin");
    EXPECT_EQ(response.headers.Get("Cross-Origin-Embedder-Policy"), "require-corp");
    EXPECT_EQ(response.headers.Get("Cross-Origin-Resource-Policy"), "same-origin");
  }
  EXPECT_EQ(Get("/").headers.Get("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(Get("/").headers.Get("Cache-Control"), "no-cache");
  const Response asset = Get("/assets/app-1a2b.js");
  EXPECT_NE(asset.headers.Get("Cache-Control").find("immutable"), std::string::npos);
  const std::string etag(asset.headers.Get("ETag"));
  EXPECT_EQ(Get("/assets/app-1a2b.js", {{"If-None-Match", etag}}).status, 304);
  EXPECT_EQ(ContentTypeOf("a/ort.WASM"), "application/wasm");
}

TEST_F(StaticSiteTest, SendsWhatIsPackedAlready) {
  const std::string path = "/assets/app-1a2b.js";
  const Response brotli = Get(path, {{"Accept-Encoding", "gzip, br"}});
  EXPECT_EQ(BodyOf(brotli), "brotli");
  EXPECT_EQ(brotli.headers.Get("Content-Encoding"), "br");
  EXPECT_EQ(brotli.headers.Get("Content-Type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(brotli.headers.Get("Vary"), "Accept-Encoding");
  EXPECT_EQ(BodyOf(Get(path, {{"Accept-Encoding", "gzip"}})), "gzip");
  const Response plain = Get(path, {{"Accept-Encoding", "br;q=0"}});
  EXPECT_EQ(BodyOf(plain), "plain");
  EXPECT_FALSE(plain.headers.Has("Content-Encoding"));
  EXPECT_EQ(plain.headers.Get("Vary"), "Accept-Encoding");
  EXPECT_NE(plain.headers.Get("ETag"), brotli.headers.Get("ETag"));
}

}  // namespace
}  // namespace shoal::net
