#include "cli/remote.h"

#include <boost/json/object.hpp>

#include "base/str_cat.h"
#include "model/json.h"

namespace shoal::cli {

namespace {

constexpr size_t kReplyBytesMax = 16u << 20;
constexpr size_t kMessageBytesMax = 500;
constexpr std::chrono::seconds kIdle{15};

// The message of {"error": {"message": ...}}; empty where there is none.
std::string MessageOf(std::string_view body) {
  const auto json = model::ParseJson(body, "answer");
  const auto* object = json ? json->if_object() : nullptr;
  const auto* error = object == nullptr ? nullptr : object->if_contains("error");
  const auto* fields = error == nullptr ? nullptr : error->if_object();
  const auto* message = fields == nullptr ? nullptr : fields->if_contains("message");
  if (message == nullptr || !message->is_string()) return "";
  return Printable(std::string_view(message->get_string()).substr(0, kMessageBytesMax));
}

Code CodeOf(int status) {
  if (status == 401 || status == 403) return Code::kPermissionDenied;
  if (status == 404) return Code::kNotFound;
  if (status < 500 && status != 429) return Code::kInvalidArgument;
  return Code::kUnavailable;
}

}  // namespace

void AddRemoteFlags(CLI::App& command, RemoteFlags& flags) {
  command.add_option("url", flags.url, "the coordinator's address")->capture_default_str();
  command.add_option("--api-key", flags.api_key, "the key that the coordinator asks for");
  command.add_option("--ca", flags.ca_file,
                     "PEM file of the certificates to trust, such as the server's own");
}

Result<Remote> Remote::From(const RemoteFlags& flags) {
  constexpr std::string_view kMark = "#key=";
  RemoteFlags kept = flags;
  const size_t hash = flags.url.find('#');
  std::string url = flags.url.substr(0, hash);
  if (hash != std::string::npos && flags.url.compare(hash, kMark.size(), kMark) == 0) {
    kept.api_key = flags.url.substr(hash + kMark.size());
  }
  while (url.ends_with('/')) url.pop_back();
  RETURN_IF_ERROR(net::ParseUrl(url));
  return Remote(std::move(url), kept);
}

net::ClientRequest Remote::Request(std::string_view method, std::string_view path) const {
  net::ClientRequest request;
  request.method = method;
  request.url = StrCat(url_, path);
  request.tls.ca_file = flags_.ca_file;
  if (!flags_.api_key.empty()) {
    request.headers.Set("Authorization", StrCat("Bearer ", flags_.api_key));
  }
  return request;
}

Result<boost::json::value> Remote::Get(net::EventLoop& loop, std::string_view path) const {
  net::ClientRequest request = Request("GET", path);
  request.idle_timeout = kIdle;
  auto response = net::Fetch(loop, std::move(request), kReplyBytesMax);
  if (!response) return FailWithContext(response.error(), url_);
  if (response->status != 200) {
    return FailWithContext(RefusalOf(response->status, response->body), url_);
  }
  return model::ParseJson(response->body, StrCat(url_, path));
}

Error RefusalOf(int status, std::string_view body) {
  const std::string message = MessageOf(body);
  return {CodeOf(status), message.empty() ? StrCat("the server answers ", status)
                                          : StrCat(message, " (", status, ")")};
}

std::string Printable(std::string_view text, bool keeps_lines) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_kept = keeps_lines && (byte == '\n' || byte == '\t');
    if ((byte < 0x20 && !is_kept) || byte == 0x7f) continue;
    // U+0080 to U+009F, the control characters of Latin-1: c2 80 to c2 9f in UTF-8.
    if (byte == 0xc2 && i + 1 < text.size()) {
      const auto next = static_cast<unsigned char>(text[i + 1]);
      if (next >= 0x80 && next < 0xa0) {
        ++i;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace shoal::cli
