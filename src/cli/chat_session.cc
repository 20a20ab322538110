#include "cli/chat_session.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "cli/remote.h"
#include "model/file.h"
#include "model/json.h"

namespace shoal::cli {

namespace {

namespace json = boost::json;

constexpr uint64_t kSavedBytesMax = 64u << 20;
constexpr size_t kMessagesMax = 4096;
constexpr std::string_view kSettings[] = {"temperature", "top_p",      "top_k",
                                          "min_p",       "max_tokens", "seed"};

constexpr std::string_view kHelp =
    "/system TEXT     what the model is told first; alone: nothing\n"
    "/set NAME VALUE  temperature, top_p, top_k, min_p, max_tokens or seed; alone: as the server "
    "has it\n"
    "/retry           ask the last message again\n"
    "/reset           forget the conversation\n"
    "/save FILE       write it as JSON; /load FILE reads it\n"
    "/quit            end; so does Ctrl-D\n"
    "Ctrl-C stops an answer, \\ at the end of a line goes on in the next, // begins a message with "
    "/";

std::string_view Trim(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  const size_t end = text.find_last_not_of(" \t");
  return text.substr(begin, end == text.npos ? 0 : end + 1 - begin);
}

// "word rest of it" -> "word", "rest of it".
std::pair<std::string_view, std::string_view> SplitWord(std::string_view text) {
  const size_t end = std::min(text.find_first_of(" \t"), text.size());
  return {text.substr(0, end), Trim(text.substr(end))};
}

std::string TellFailure(const Status& status, std::string done) {
  return status ? std::move(done) : Printable(status.error().detail);
}

}  // namespace

ChatSession::Outcome ChatSession::Enter(std::string_view line) {
  if (Trim(line).empty()) return {};
  if (line.starts_with("/") && !line.starts_with("//")) {
    const auto [name, rest] = SplitWord(Trim(line.substr(1)));
    return Command(name, rest);
  }
  if (line.starts_with("//")) line.remove_prefix(1);
  last_asked_ = line;
  is_taken_back_ = false;
  messages_.push_back({"user", last_asked_});
  return {Next::kAsk, ""};
}

ChatSession::Outcome ChatSession::Command(std::string_view name, std::string_view rest) {
  if (name == "quit" || name == "exit" || name == "bye") return {Next::kQuit, ""};
  if (name == "help" || name == "?") return {Next::kRead, std::string(kHelp)};
  if (name == "system") {
    system_ = rest;
    return {Next::kRead, rest.empty() ? "no system prompt" : "the system prompt is set"};
  }
  if (name == "reset") {
    messages_.clear();
    return {Next::kRead, "forgotten"};
  }
  if (name == "retry") return Retry();
  if (name == "set") return {Next::kRead, SetFromLine(rest)};
  if (name == "save" || name == "load") {
    const std::string path(rest);
    if (path.empty()) return {Next::kRead, StrCat("expected /", name, " FILE")};
    if (name == "save") return {Next::kRead, TellFailure(Save(path), StrCat("saved to ", path))};
    const Status loaded = Load(path);
    return {Next::kRead, TellFailure(loaded, StrCat(messages_.size(), " messages"))};
  }
  return {Next::kRead, StrCat("no command /", name, "; /help says what there is")};
}

ChatSession::Outcome ChatSession::Retry() {
  if (last_asked_.empty()) return {Next::kRead, "nothing has been asked"};
  const bool is_answered = !messages_.empty() && messages_.back().role == "assistant";
  if (is_answered && !is_taken_back_) messages_.pop_back();
  if (messages_.empty() || messages_.back().role != "user") {
    messages_.push_back({"user", last_asked_});
  }
  is_taken_back_ = false;
  return {Next::kAsk, ""};
}

std::string ChatSession::SetFromLine(std::string_view rest) {
  const auto [name, value] = SplitWord(rest);
  if (std::ranges::find(kSettings, name) == std::end(kSettings)) {
    return "expected /set NAME VALUE, of temperature, top_p, top_k, min_p, max_tokens, seed";
  }
  if (value.empty()) {
    settings_.erase(name);
    return StrCat(name, " is the server's");
  }
  json::error_code error;
  json::value number = json::parse(value, error);
  if (error || !number.is_number()) return StrCat(name, " must be a number");
  settings_[name] = std::move(number);
  return StrCat(name, " is ", value);
}

json::array ChatSession::Messages() const {
  json::array messages;
  if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
  for (const Message& message : messages_) {
    messages.push_back({{"role", message.role}, {"content", message.text}});
  }
  return messages;
}

std::string ChatSession::RequestBody() const {
  json::object body = settings_;
  body["messages"] = Messages();
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  return json::serialize(body);
}

void ChatSession::Answered(std::string text) {
  messages_.push_back({"assistant", std::move(text)});
}

void ChatSession::Failed() {
  if (!messages_.empty() && messages_.back().role == "user") messages_.pop_back();
  is_taken_back_ = true;
}

Status ChatSession::Save(const std::string& path) const {
  json::object saved = settings_;
  saved["messages"] = Messages();
  return model::WriteFileAtomically(path, AsBytes(json::serialize(saved) + "\n"));
}

Status ChatSession::Load(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, model::ReadFile(path, kSavedBytesMax));
  ASSIGN_OR_RETURN(const json::value root, model::ParseJson(text, path));
  ASSIGN_OR_RETURN(const model::JsonObject object, model::JsonObject::From(root, path));
  ASSIGN_OR_RETURN(const auto list, object.Objects("messages", kMessagesMax));
  std::string system;
  std::vector<Message> messages;
  for (const model::JsonObject& each : list) {
    ASSIGN_OR_RETURN(const std::string role, each.Text("role"));
    ASSIGN_OR_RETURN(std::string content, each.Text("content", kSavedBytesMax));
    if (role == "system" && messages.empty()) {
      system = std::move(content);
    } else if (role == "user" || role == "assistant") {
      messages.push_back({role, std::move(content)});
    } else {
      return each.Wrong("role", "is neither user nor assistant");
    }
  }
  system_ = std::move(system);
  messages_ = std::move(messages);
  last_asked_.clear();
  is_taken_back_ = false;
  for (const Message& message : messages_) {
    if (message.role == "user") last_asked_ = message.text;
  }
  return {};
}

}  // namespace shoal::cli
