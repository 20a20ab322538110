// The parts of `shoal chat` and `shoal status` that talk to nobody.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/answer_stream.h"
#include "cli/chat_session.h"
#include "cli/remote.h"
#include "cli/status_text.h"
#include "model/file.h"
#include "model/json.h"
#include "packer/testing.h"

namespace shoal::cli {
namespace {

using testing::HasSubstr;
using Next = ChatSession::Next;

// "user: hi|assistant: hello" of a request's body.
std::string Messages(const ChatSession& session) {
  std::string out;
  const auto body = model::ParseJson(session.RequestBody(), "body");
  for (const auto& message : body->as_object().at("messages").as_array()) {
    if (!out.empty()) out += "|";
    out += std::string(message.at("role").as_string()) + ": ";
    out += message.at("content").as_string();
  }
  return out;
}

TEST(ChatSession, KeepsTheConversation) {
  ChatSession session;
  EXPECT_EQ(session.Enter("  ").next, Next::kRead);
  EXPECT_EQ(session.Enter("/system be brief").next, Next::kRead);
  EXPECT_EQ(session.Enter("hi").next, Next::kAsk);
  EXPECT_EQ(Messages(session), "system: be brief|user: hi");
  session.Answered("hello");
  EXPECT_EQ(session.Enter("//etc?").next, Next::kAsk);
  EXPECT_EQ(Messages(session), "system: be brief|user: hi|assistant: hello|user: /etc?");
  session.Failed();
  EXPECT_EQ(session.Enter("/retry").next, Next::kAsk);
  EXPECT_EQ(Messages(session), "system: be brief|user: hi|assistant: hello|user: /etc?");
  session.Answered("a folder");
  EXPECT_EQ(session.Enter("/retry").next, Next::kAsk);
  EXPECT_EQ(Messages(session), "system: be brief|user: hi|assistant: hello|user: /etc?");
  session.Answered("a folder");
  session.Enter("/reset");
  session.Enter("/system");
  session.Enter("again");
  EXPECT_EQ(Messages(session), "user: again");
  EXPECT_EQ(session.Enter("/quit").next, Next::kQuit);
}

TEST(ChatSession, SetsWhatTheServerIsAskedFor) {
  ChatSession session;
  session.Enter("/set temperature 0.5");
  session.Enter("/set seed 7");
  EXPECT_THAT(session.RequestBody(), HasSubstr(R"("seed":7)"));
  EXPECT_THAT(session.RequestBody(), HasSubstr(R"("temperature":5E-1)"));
  session.Enter("/set seed");
  EXPECT_THAT(session.RequestBody(), testing::Not(HasSubstr("seed")));
  EXPECT_THAT(session.Enter("/set temperature hot").told, HasSubstr("must be a number"));
  EXPECT_THAT(session.Enter("/set colour 3").told, HasSubstr("expected /set"));
  EXPECT_THAT(session.Enter("/sett x").told, HasSubstr("no command /sett"));
}

TEST(ChatSession, SavesAndLoads) {
  packer::ScratchFolder folder;
  const std::string path = (folder.path() / "chat.json").string();
  ChatSession session;
  EXPECT_THAT(session.Enter("/retry").told, HasSubstr("nothing has been asked"));
  session.Enter("/system s");
  session.Enter("a\nb");
  session.Answered("c");
  EXPECT_THAT(session.Enter("/save " + path).told, HasSubstr("saved"));
  ChatSession other;
  EXPECT_EQ(other.Enter("/load " + path).told, "2 messages");
  EXPECT_EQ(Messages(other), "system: s|user: a\nb|assistant: c");
  packer::WriteText(path, R"({"messages": [{"role": "tool", "content": "x"}]})");
  EXPECT_THAT(other.Enter("/load " + path).told, HasSubstr("role"));
  EXPECT_THAT(other.Enter("/load /nowhere/at/all").told, HasSubstr("/nowhere/at/all"));
  EXPECT_EQ(Messages(other), "system: s|user: a\nb|assistant: c");
}

TEST(AnswerStream, ReadsEventsHoweverTheyAreCut) {
  const std::string body =
      ": a comment\r\n"
      "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\r\n\r\n"
      "data: {\"choices\":[{\"delta\":{\"content\":\"caf\\u00e9 \"},\"finish_reason\":null}]}\n\n"
      "data: {\"choices\":[{\"delta\":{\"content\":\"au lait\"},\"finish_reason\":\"stop\"}]}\n\n"
      "data:{\"choices\":[],\"usage\":{\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";
  for (size_t piece = 1; piece < body.size(); ++piece) {
    std::string told;
    AnswerStream stream([&](std::string_view text) { told += text; });
    for (size_t at = 0; at < body.size(); at += piece) {
      ASSERT_TRUE(stream.Add(std::string_view(body).substr(at, piece)));
    }
    EXPECT_EQ(told, "café au lait");
    EXPECT_EQ(stream.text(), told);
    EXPECT_EQ(stream.finish_reason(), "stop");
    EXPECT_EQ(stream.completion_tokens(), 5u);
    EXPECT_TRUE(stream.is_done());
  }
}

TEST(AnswerStream, RefusesWhatIsNone) {
  const std::pair<const char*, const char*> cases[] = {
      {"data: {\"error\":{\"message\":\"volunteers left\"}}\n", "volunteers left"},
      {"data: {\"choices\":5}\n", "choices"},
      {"data: {\"choices\":[{}]}\n", "delta"},
      {"data: {\"choices\":[{\"delta\":{\"content\":5}}]}\n", "content"},
      {"data: [\n", "event"},
  };
  for (const auto& [body, detail] : cases) {
    AnswerStream stream([](std::string_view) {});
    const Status status = stream.Add(body);
    ASSERT_FALSE(status) << body;
    EXPECT_THAT(status.error().detail, HasSubstr(detail));
  }
  AnswerStream stream([](std::string_view) {});
  EXPECT_FALSE(stream.Add(std::string(5 << 20, 'x')));
}

TEST(Remote, TakesTheKeyOutOfTheAddress) {
  const auto remote =
      Remote::From({.url = "https://h:1/#key=K", .api_key = "other", .ca_file = ""});
  ASSERT_TRUE(remote);
  EXPECT_EQ(remote->url(), "https://h:1");
  const net::ClientRequest request = remote->Request("GET", "/v1/models");
  EXPECT_EQ(request.url, "https://h:1/v1/models");
  EXPECT_EQ(request.headers.Get("Authorization"), "Bearer K");
  EXPECT_FALSE(Remote::From({.url = "h:1", .api_key = "", .ca_file = ""}));
}

TEST(Printable, LeavesNoControlCharacters) {
  EXPECT_EQ(Printable("a\x1b[2Jb\n\tc\x7f\xc2\x9b"
                      "d é"),
            "a[2Jbcd é");
  EXPECT_EQ(Printable("a\n\tb\r\x07", true), "a\n\tb");
}

constexpr const char* kStatus = R"({
  "ready": false, "detail": "one more device\u001b[31m", "missing_bytes": 2097152, "blocks": 10,
  "model": "tale", "private": true, "context_tokens": 512, "sessions": 2,
  "tokens_per_second": 31.46,
  "route": [{"id": 3, "blocks": [0, 4]}, {"id": 5, "blocks": [4, 10]}],
  "volunteers": [
    {"id": 3, "state": "ready", "blocks": [[0, 4]], "memory_bytes": 1073741824, "executor": "shoal",
     "round_trip_ms": 0.42, "tokens_done": 7, "platform": "Linux"},
    {"id": 12, "state": "loading", "blocks": [], "bytes_done": 30, "bytes_total": 60}]})";

TEST(StatusText, SaysWhatPeopleWantToKnow) {
  const auto summary = Summarise(*model::ParseJson(kStatus, "x"), "http://h");
  ASSERT_TRUE(summary) << summary.error().ToString();
  EXPECT_FALSE(summary->is_ready);
  EXPECT_EQ(summary->text,
            "tale at http://h: not ready\n"
            "  one more device[31m\n"
            "  missing    2.0 MiB\n"
            "  model      10 blocks, context 512 tokens; joining needs a secret\n"
            "  answers    2 being made or waiting, 31.5 tokens/s\n"
            "  route      0-3 on #3 > 4-9 on #5\n"
            "  volunteers 2\n"
            "\n"
            "     state         blocks  memory   executor  away    tokens  platform\n"
            "#3   ready         0-3     1.0 GiB  shoal     0.4 ms  7       Linux\n"
            "#12  loading 50 %  -       0 B                0.0 ms  0       \n");
  EXPECT_EQ(*model::ParseJson(summary->json, "x"), *model::ParseJson(kStatus, "x"));
}

TEST(StatusText, RefusesWhatIsNoCoordinators) {
  for (const char* text : {"[]", "{}", R"({"ready": true})", R"({"ready": 1, "blocks": 3})",
                           R"({"ready": true, "blocks": 3, "route": [], "volunteers": [5]})",
                           R"({"ready": true, "blocks": 3, "route": [{"id": 1, "blocks": [2]}],
                               "volunteers": []})"}) {
    EXPECT_FALSE(Summarise(*model::ParseJson(text, "x"), "u")) << text;
  }
}

}  // namespace
}  // namespace shoal::cli
