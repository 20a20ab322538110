// shoal chat [URL]: a conversation with a running swarm. In a terminal lines are edited and
// remembered; of a pipe every line is a message. Ctrl-C stops the answer, not the program.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "base/str_cat.h"
#include "cli/answer_stream.h"
#include "cli/chat_session.h"
#include "cli/commands.h"
#include "cli/line_reader.h"
#include "cli/remote.h"
#include "cli/serve_flags.h"
#include "net/event_loop.h"

namespace shoal::cli {

namespace {

namespace fs = std::filesystem;

constexpr size_t kRefusalBytesMax = 64u << 10;
constexpr int kInterrupted = 128 + SIGINT;  // As shells count it.

struct ChatFlags {
  RemoteFlags remote;
  std::string system;
  std::string message;
  std::optional<double> temperature;
  std::optional<uint32_t> max_tokens;
  bool no_history = false;
};

struct Answer {
  std::string text;
  std::string note;  // For people: why it ended early, or how fast it was.
  bool was_stopped = false;
};

void Write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// Asks, and writes the answer to stdout as it comes.
class Asking {
 public:
  explicit Asking(const Remote& remote) : remote_(remote) {}

  Result<Answer> Run(const std::string& body) {
    net::ClientRequest request = remote_.Request("POST", "/v1/chat/completions");
    request.headers.Set("Content-Type", "application/json");
    request.body = body;
    bool stopped = false;
    loop_.OnTerminate([&](int) {
      stopped = true;
      loop_.Stop();
    });
    started_us_ = loop_.NowUs();
    ASSIGN_OR_RETURN(
        auto call,
        net::StartCall(loop_, std::move(request),
                       {.on_head = [&](int status, const net::Headers&) { status_ = status; },
                        .on_body = [&](std::string_view bytes) { OnBody(bytes); },
                        .on_done = [&](Status status) { OnDone(std::move(status)); }}));
    loop_.Run();
    call = nullptr;
    if (ends_in_line_) Write("\n");
    if (stopped) return Answer{stream_.text(), "stopped", true};
    if (!result_) return FailWithContext(result_.error(), remote_.url());
    return Answer{stream_.text(), Note(), false};
  }

 private:
  void OnText(std::string_view text) {
    if (first_us_ == 0) first_us_ = loop_.NowUs();
    const std::string shown = Printable(text, true);
    if (shown.empty()) return;
    ends_in_line_ = !shown.ends_with('\n');
    Write(shown);
  }

  void OnBody(std::string_view bytes) {
    if (status_ != 200) {
      if (refusal_.size() < kRefusalBytesMax) refusal_ += bytes;
      return;
    }
    if (Status added = stream_.Add(bytes); !added) {
      result_ = std::move(added);
      loop_.Stop();
    }
  }

  void OnDone(Status status) {
    result_ = std::move(status);
    if (result_ && status_ != 200) result_ = std::unexpected(RefusalOf(status_, refusal_));
    if (result_ && !stream_.is_done()) {
      result_ = Fail(Code::kUnavailable, "the answer ended early");
    }
    loop_.Stop();
  }

  std::string Note() const {
    const double first_s = 1e-6 * static_cast<double>(first_us_ - started_us_);
    const double rest_s = 1e-6 * static_cast<double>(loop_.NowUs() - first_us_);
    const uint64_t tokens = stream_.completion_tokens();
    std::string note = fmt::format("{} tokens", tokens);
    if (first_us_ != 0) note += fmt::format(", the first after {:.2f} s", first_s);
    if (first_us_ != 0 && tokens > 1 && rest_s > 0) {
      note += fmt::format(", then {:.1f} a second", static_cast<double>(tokens - 1) / rest_s);
    }
    if (stream_.finish_reason() == "length") note += "; cut at the longest answer allowed";
    return note;
  }

  const Remote& remote_;
  net::EventLoop loop_;
  AnswerStream stream_{[this](std::string_view text) { OnText(text); }};
  int status_ = 0;
  std::string refusal_;
  Status result_;
  int64_t started_us_ = 0;
  int64_t first_us_ = 0;  // Of the first piece of text; 0: none has come.
  bool ends_in_line_ = false;
};

// What is not part of an answer, and only people want to know.
void Tell(bool is_terminal, std::string_view text) {
  if (is_terminal && !text.empty()) fmt::print(stderr, "\x1b[2m{}\x1b[0m\n", text);
}

fs::path HistoryFile(bool wanted) {
  if (!wanted) return {};
  std::error_code error;
  const fs::path folder = DefaultDataFolder();
  fs::create_directories(folder, error);
  return error ? fs::path() : folder / "chat_history";
}

// One message and its answer. A failure is told, and is the exit code of what is no conversation.
int Ask(const Remote& remote, ChatSession& session, bool is_terminal) {
  auto answer = Asking(remote).Run(session.RequestBody());
  if (!answer) {
    session.Failed();
    return ReportFailure(answer.error());
  }
  session.Answered(std::move(answer->text));
  Tell(is_terminal, answer->note);
  return answer->was_stopped ? kInterrupted : kDone;
}

void Prepare(const ChatFlags& flags, ChatSession& session) {
  if (!flags.system.empty()) session.SetSystem(flags.system);
  if (flags.temperature) session.Set("temperature", *flags.temperature);
  if (flags.max_tokens) session.Set("max_tokens", *flags.max_tokens);
}

int RunChat(const ChatFlags& flags) {
  const auto remote = Remote::From(flags.remote);
  if (!remote) return ReportUsage(remote.error().detail);
  ChatSession session;
  Prepare(flags, session);
  if (!flags.message.empty()) {
    session.Enter(flags.message.starts_with('/') ? "/" + flags.message : flags.message);
    return Ask(*remote, session, false);
  }
  LineReader reader(HistoryFile(!flags.no_history));
  const bool is_terminal = reader.is_terminal();
  Tell(is_terminal, StrCat("chatting with ", remote->url(), "; /help says what there is"));
  while (const auto line = reader.Read()) {
    const ChatSession::Outcome outcome = session.Enter(*line);
    if (!outcome.told.empty()) fmt::print(stderr, "{}\n", outcome.told);
    if (outcome.next == ChatSession::Next::kQuit) return kDone;
    if (outcome.next != ChatSession::Next::kAsk) continue;
    const int exit_code = Ask(*remote, session, is_terminal);
    if (exit_code != kDone && !is_terminal) return exit_code;
  }
  return kDone;
}

}  // namespace

void AddChat(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("chat", "talk with a running swarm");
  const auto flags = std::make_shared<ChatFlags>();
  AddRemoteFlags(*command, flags->remote);
  command->add_option("--system", flags->system, "what the model is told first");
  command->add_option("-m,--message", flags->message, "ask this, print the answer, and end");
  command->add_option("--temperature", flags->temperature, "0: always the most probable token")
      ->check(CLI::Range(0.0, 2.0));
  command->add_option("--max-tokens", flags->max_tokens, "longest answer")
      ->check(CLI::Range(1u, 10'000'000u));
  command->add_flag("--no-history", flags->no_history, "remember no lines");
  command->callback([flags, &exit_code] { exit_code = RunChat(*flags); });
}

}  // namespace shoal::cli
