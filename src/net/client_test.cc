// The client against answers of every form, and both ends over TLS.
#include "net/client.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "base/str_cat.h"
#include "net/server.h"
#include "net/test_support.h"

namespace shoal::net {
namespace {

namespace fs = std::filesystem;

class ClientTest : public testing::Test {
 protected:
  void Listen(Handler handler, ServerOptions options = {}) {
    auto listening = Server::Listen(loop_, std::move(options), std::move(handler));
    ASSERT_TRUE(listening) << listening.error().ToString();
    server_ = *std::move(listening);
  }
  ClientRequest To(std::string_view path, std::string_view scheme = "http") const {
    ClientRequest request;
    request.url = StrCat(scheme, "://127.0.0.1:", server_->port(), path);
    return request;
  }

  EventLoop loop_;
  std::unique_ptr<Server> server_;
};

TEST_F(ClientTest, SendsBodiesAndReadsAnswers) {
  Listen([](Request request, Responder responder) {
    Response response = TextResponse(201, request.body);
    response.headers.Set("X-Seen", StrCat(request.method, request.path, *request.Query("q")));
    responder.Send(std::move(response));
  });
  ClientRequest request = To("/a?q=1");
  request.method = "POST";
  request.body = std::string(5 << 20, 'b');
  const auto response = Fetch(loop_, request);
  ASSERT_TRUE(response) << response.error().ToString();
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->headers.Get("x-seen"), "POST/a1");
  EXPECT_TRUE(response->body == request.body);
  EXPECT_EQ(Fetch(loop_, request, 1000).error().code, Code::kResourceExhausted);
}

TEST_F(ClientTest, GetsStreamedAnswersPieceByPiece) {
  std::optional<Stream> stream;
  Listen([&](Request, Responder responder) { stream = responder.StartStream(200, {}); });
  std::string body;
  std::optional<Status> done;
  ClientCallbacks callbacks;
  callbacks.on_body = [&](std::string_view bytes) { body += bytes; };
  callbacks.on_done = [&](Status status) { done = std::move(status); };
  const auto call = StartCall(loop_, To("/"), callbacks);
  ASSERT_TRUE(call);
  ASSERT_TRUE(RunUntil(loop_, [&] { return stream.has_value(); }));
  stream->Write("one");
  ASSERT_TRUE(RunUntil(loop_, [&] { return body == "one"; }));
  stream->Write("two");
  ASSERT_TRUE(RunUntil(loop_, [&] { return body == "onetwo"; }));
  stream->End();
  ASSERT_TRUE(RunUntil(loop_, [&] { return done.has_value(); }));
  EXPECT_TRUE(*done);
}

TEST_F(ClientTest, ADestroyedCallIsSeenByTheServer) {
  std::optional<Stream> stream;
  int closed = 0;
  Listen([&](Request, Responder responder) {
    responder.OnClosed([&] { ++closed; });
    stream = responder.StartStream(200, {});
  });
  ClientCallbacks callbacks;
  callbacks.on_done = [](Status) { ADD_FAILURE() << "called after the end"; };
  auto call = StartCall(loop_, To("/"), callbacks);
  ASSERT_TRUE(RunUntil(loop_, [&] { return stream.has_value(); }));
  call->reset();
  EXPECT_TRUE(RunUntil(loop_, [&] { return closed == 1; }));
}

TEST_F(ClientTest, SaysWhatWentWrong) {
  Listen([](Request, Responder) {});
  ClientRequest request = To("/");
  EXPECT_EQ(Fetch(loop_, request)->status, 500);
  request.url = "http://127.0.0.1:1/";
  EXPECT_EQ(Fetch(loop_, request).error().code, Code::kUnavailable);
  request.url = "ws://127.0.0.1:1/";
  EXPECT_EQ(Fetch(loop_, request).error().code, Code::kInvalidArgument);
  request.url = "http://nowhere.invalid/";
  EXPECT_FALSE(Fetch(loop_, request));
}

TEST_F(ClientTest, DoesNotWaitForASilentServerForever) {
  std::vector<Responder> waiting;
  Listen([&](Request, Responder responder) { waiting.push_back(std::move(responder)); });
  ClientRequest request = To("/");
  request.idle_timeout = std::chrono::milliseconds(50);
  EXPECT_EQ(Fetch(loop_, request).error().code, Code::kDeadlineExceeded);
}

// A certificate for 127.0.0.1 that signs itself, and its key, as files.
struct Certificate {
  explicit Certificate(const fs::path& folder)
      : certificate_file(folder / "cert.pem"), key_file(folder / "key.pem") {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("shoal"), -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_EXTENSION* extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(certificate, extension, -1);
    X509_sign(certificate, key, EVP_sha256());
    std::FILE* file = std::fopen(certificate_file.c_str(), "w");
    PEM_write_X509(file, certificate);
    std::fclose(file);
    file = std::fopen(key_file.c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    X509_EXTENSION_free(extension);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  fs::path certificate_file;
  fs::path key_file;
};

class TlsTest : public ClientTest {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "shoal_tls_XXXXXX";
    folder_ = mkdtemp(name.data());
    const Certificate certificate(folder_);
    options_.tls_certificate = certificate.certificate_file;
    options_.tls_key = certificate.key_file;
    Listen(
        [this](Request request, Responder responder) {
          EXPECT_TRUE(request.is_secure);
          if (request.wants_websocket) {
            echo_ = responder.Upgrade({});
            WebSocketCallbacks callbacks;
            callbacks.on_message = [this](std::shared_ptr<ByteVector> bytes) {
              echo_->Send(bytes);
            };
            echo_->Start(callbacks);
            return;
          }
          responder.Send(TextResponse(200, std::string(1 << 20, 's')));
        },
        options_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
  ServerOptions options_;
  std::unique_ptr<WebSocket> echo_;
};

TEST_F(TlsTest, CarriesHttpToClientsThatTrustTheCertificate) {
  ClientRequest request = To("/", "https");
  EXPECT_FALSE(Fetch(loop_, request));  // Nobody vouches for it.
  request.tls.ca_file = options_.tls_certificate;
  const auto response = Fetch(loop_, request);
  ASSERT_TRUE(response) << response.error().ToString();
  EXPECT_EQ(response->body.size(), 1u << 20);
  request.url = StrCat("https://localhost:", server_->port(), "/");
  EXPECT_FALSE(Fetch(loop_, request));  // Not the name in it.
  request.tls.ca_file = "/nonexistent.pem";
  EXPECT_EQ(Fetch(loop_, request).error().code, Code::kInvalidArgument);
}

TEST_F(TlsTest, CarriesWebSockets) {
  TlsClientOptions tls;
  tls.ca_file = options_.tls_certificate;
  auto socket =
      ConnectWebSocket(loop_, StrCat("wss://127.0.0.1:", server_->port(), "/"), {}, {}, tls);
  ASSERT_TRUE(socket);
  const auto message = std::make_shared<ByteVector>(3 << 20, uint8_t{7});
  std::shared_ptr<ByteVector> back;
  std::optional<uint16_t> closed;
  WebSocketCallbacks callbacks;
  callbacks.on_message = [&](std::shared_ptr<ByteVector> bytes) { back = std::move(bytes); };
  callbacks.on_closed = [&](uint16_t code, std::string) { closed = code; };
  (*socket)->Start(callbacks);
  (*socket)->Send(message);
  ASSERT_TRUE(RunUntil(loop_, [&] { return back != nullptr || closed; }));
  ASSERT_TRUE(back != nullptr);
  EXPECT_TRUE(*back == *message);
  (*socket)->Close(kCloseNormal, "");
  EXPECT_TRUE(RunUntil(loop_, [&] { return closed == kCloseNormal; }));
}

TEST_F(TlsTest, CutsWhatIsNotTls) {
  RawClient client(loop_, server_->port());
  client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  client.ReadToEnd();
  EXPECT_TRUE(client.IsClosed());
  EXPECT_TRUE(RunUntil(loop_, [&] { return server_->connections() == 0; }));
}

TEST_F(TlsTest, RefusesKeysThatDoNotFit) {
  const fs::path other = folder_ / "other";
  fs::create_directory(other);
  ServerOptions options = options_;
  options.tls_key = Certificate(other).key_file;
  EXPECT_EQ(Server::Listen(loop_, options, {}).error().code, Code::kInvalidArgument);
  options.tls_key = "/nonexistent.pem";
  EXPECT_EQ(Server::Listen(loop_, options, {}).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace shoal::net
