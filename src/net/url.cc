// URLs of the client.
#include <charconv>

#include "base/str_cat.h"
#include "net/client.h"

namespace shoal::net {
namespace {

uint16_t DefaultPort(std::string_view scheme) {
  return scheme == "https" || scheme == "wss" ? 443 : 80;
}

bool IsKnownScheme(std::string_view scheme) {
  return scheme == "http" || scheme == "https" || scheme == "ws" || scheme == "wss";
}

}  // namespace

std::string Url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : StrCat('[', host, ']');
  if (port != DefaultPort(scheme)) out += StrCat(':', port);
  return out;
}

Result<Url> ParseUrl(std::string_view text) {
  const auto fail = [text](std::string_view why) {
    return Fail(Code::kInvalidArgument, StrCat("not a URL: ", text, " (", why, ")"));
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f) return fail("it has a space or control character");
  }
  Url url;
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos) return fail("http://host:port/path is wanted");
  url.scheme = text.substr(0, colon);
  if (!IsKnownScheme(url.scheme)) return fail("the scheme is none of http, https, ws and wss");
  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, end);
  url.target = rest.substr(end);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  if (authority.find('@') != std::string_view::npos) return fail("user names are not supported");
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return fail("']' is missing");
    url.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
  } else {
    const size_t at = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, at);
    port = authority.substr(at);
  }
  if (url.host.empty()) return fail("the host is missing");
  url.port = DefaultPort(url.scheme);
  if (!port.empty()) {
    const char* last = port.data() + port.size();
    const auto [stop, error] = std::from_chars(port.data() + 1, last, url.port);
    if (port[0] != ':' || error != std::errc() || stop != last || url.port == 0) {
      return fail("the port is not a number from 1 to 65535");
    }
  }
  return url;
}

}  // namespace shoal::net
