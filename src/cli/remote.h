// A running coordinator, as `shoal status` and `shoal chat` ask it.
#pragma once

#include <CLI/CLI.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/client.h"
#include "net/event_loop.h"

namespace shoal::cli {

struct RemoteFlags {
  std::string url = "http://127.0.0.1:8080";
  std::string api_key;
  std::string ca_file;
};

// Adds URL, --api-key and --ca. `flags` must live as long as the command.
void AddRemoteFlags(CLI::App& command, RemoteFlags& flags);

class Remote {
 public:
  // The key may stand in the address as people pass it on: "https://HOST:PORT/#key=KEY". A path is
  // kept, for coordinators below one. kInvalidArgument for an address that is none.
  static Result<Remote> From(const RemoteFlags& flags);

  // Without what is secret in it.
  const std::string& url() const { return url_; }
  // `path` begins with '/'.
  net::ClientRequest Request(std::string_view method, std::string_view path) const;
  // The JSON that a GET answers; any other answer than 200 is an error with what the server says.
  Result<boost::json::value> Get(net::EventLoop& loop, std::string_view path) const;

 private:
  Remote(std::string url, const RemoteFlags& flags) : url_(std::move(url)), flags_(flags) {}

  std::string url_;
  RemoteFlags flags_;
};

// What the body of an answer that is none says went wrong, on one line: OpenAI's error message, or
// the status alone.
Error RefusalOf(int status, std::string_view body);

// Text from elsewhere for a terminal: without control characters, which could move the cursor,
// change the title or worse; ends of lines and tabs are kept where `keeps_lines` is set.
std::string Printable(std::string_view text, bool keeps_lines = false);

}  // namespace shoal::cli
