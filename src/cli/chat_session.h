// A conversation of `shoal chat`: what was said, with which settings, and what a line that was
// typed means. No I/O but /save and /load.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoal::cli {

class ChatSession {
 public:
  enum class Next { kRead, kAsk, kQuit };
  struct Outcome {
    Next next = Next::kRead;
    std::string told;  // For the person; lines without the last line's end.
  };

  // A line that was typed: a command when it begins with '/' ("//" begins a message with one), else
  // the next message.
  Outcome Enter(std::string_view line);

  // The body of the request that kAsk wants made: streamed, with what was used.
  std::string RequestBody() const;
  // The answer to it, also one that was stopped.
  void Answered(std::string text);
  // There is none: what was asked is taken back, and /retry asks it again.
  void Failed();

  // What every request says besides the messages, such as "temperature".
  void Set(std::string_view name, boost::json::value value) { settings_[name] = std::move(value); }
  void SetSystem(std::string text) { system_ = std::move(text); }

 private:
  struct Message {
    std::string role;
    std::string text;
  };

  Outcome Command(std::string_view name, std::string_view rest);
  Outcome Retry();
  std::string SetFromLine(std::string_view rest);
  Status Save(const std::string& path) const;
  Status Load(const std::string& path);
  boost::json::array Messages() const;

  std::string system_;
  std::vector<Message> messages_;
  std::string last_asked_;
  bool is_taken_back_ = false;  // The last asked is not among the messages: it failed.
  boost::json::object settings_;
};

}  // namespace shoal::cli
