// The events of a streamed chat completion, out of the bytes of its body as they come.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace shoal::cli {

class AnswerStream {
 public:
  explicit AnswerStream(std::function<void(std::string_view text)> on_text)
      : on_text_(std::move(on_text)) {}

  // Calls `on_text` for every piece of the answer in it. What is no such stream, or an event that
  // says that the server failed, is an error; nothing may be added after it.
  Status Add(std::string_view bytes);

  // Whether "[DONE]" came: the answer is whole.
  bool is_done() const { return is_done_; }
  const std::string& text() const { return text_; }
  // "stop", "length", ...; empty before it came.
  const std::string& finish_reason() const { return finish_reason_; }
  uint64_t completion_tokens() const { return completion_tokens_; }

 private:
  Status AddEvent(std::string_view data);

  std::function<void(std::string_view)> on_text_;
  std::string line_;
  std::string text_;
  std::string finish_reason_;
  uint64_t completion_tokens_ = 0;
  bool is_done_ = false;
};

}  // namespace shoal::cli
