// Server-sent events, as OpenAI's clients read them.
#pragma once

#include <string>
#include <string_view>

#include "net/headers.h"

namespace shoal::api {

// One event. JSON as it is serialised has no line breaks, which would end the field.
inline std::string SseEvent(std::string_view json) {
  std::string out = "data: ";
  out += json;
  out += "\n\n";
  return out;
}

// One with a name.
inline std::string NamedSseEvent(std::string_view name, std::string_view json) {
  std::string out = "event: ";
  out += name;
  out += '\n';
  out += SseEvent(json);
  return out;
}

inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";

// X-Accel-Buffering: proxies (nginx) pass events on at once.
inline net::Headers SseHeaders() {
  return {{"Content-Type", "text/event-stream; charset=utf-8"},
          {"Cache-Control", "no-cache"},
          {"X-Accel-Buffering", "no"}};
}

}  // namespace shoal::api
