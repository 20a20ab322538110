#include "cli/answer_stream.h"

#include "cli/remote.h"
#include "model/json.h"

namespace shoal::cli {

namespace {

using model::JsonObject;

constexpr size_t kLineBytesMax = 4u << 20;
constexpr size_t kAnswerBytesMax = 64u << 20;
constexpr uint64_t kTokensMax = uint64_t{1} << 32;
constexpr int kStreamFailed = 500;
constexpr std::string_view kData = "data:";

}  // namespace

Status AnswerStream::Add(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (line_.size() > kLineBytesMax) {
      return Fail(Code::kResourceExhausted, "the server sends an event that is too large");
    }
    if (end == bytes.npos) return {};
    bytes.remove_prefix(end + 1);
    std::string line;
    line.swap(line_);
    if (line.ends_with('\r')) line.pop_back();
    std::string_view rest = line;
    if (!rest.starts_with(kData)) continue;  // The end of an event, a comment, another field.
    rest.remove_prefix(kData.size());
    if (rest.starts_with(' ')) rest.remove_prefix(1);
    RETURN_IF_ERROR(AddEvent(rest));
  }
  return {};
}

Status AnswerStream::AddEvent(std::string_view data) {
  if (data == "[DONE]") {
    is_done_ = true;
    return {};
  }
  ASSIGN_OR_RETURN(const boost::json::value root, model::ParseJson(data, "event"));
  ASSIGN_OR_RETURN(const JsonObject event, JsonObject::From(root, "event"));
  if (event.Has("error")) return std::unexpected(RefusalOf(kStreamFailed, data));
  if (event.Has("usage")) {
    ASSIGN_OR_RETURN(const JsonObject usage, event.Object("usage"));
    ASSIGN_OR_RETURN(completion_tokens_, usage.UintOr("completion_tokens", 0, 0, kTokensMax));
  }
  ASSIGN_OR_RETURN(const auto choices, event.Objects("choices", 1));
  for (const JsonObject& choice : choices) {
    ASSIGN_OR_RETURN(const std::string reason, choice.TextOr("finish_reason", ""));
    if (!reason.empty()) finish_reason_ = reason;
    ASSIGN_OR_RETURN(const JsonObject delta, choice.Object("delta"));
    if (!delta.Has("content")) continue;
    ASSIGN_OR_RETURN(const std::string piece, delta.Text("content", kLineBytesMax));
    if (text_.size() + piece.size() > kAnswerBytesMax) {
      return Fail(Code::kResourceExhausted, "the answer is too long");
    }
    text_ += piece;
    if (!piece.empty()) on_text_(piece);
  }
  return {};
}

}  // namespace shoal::cli
