#include "coordinator/api/responses_writer.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "base/str_cat.h"
#include "coordinator/api/sse.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

json::object PartJson(const std::string& text) {
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", json::array()},
          {"logprobs", json::array()}};
}

json::object ResponsesUsageJson(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", 0}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", 0}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

}  // namespace

void ResponsesWriter::Emit(std::string_view type, json::object event) {
  json::object whole = {{"type", json::string_view(type.data(), type.size())},
                        {"sequence_number", events_++}};
  for (auto& [name, value] : event) whole[name] = std::move(value);
  out_ += NamedSseEvent(type, json::serialize(whole));
}

void ResponsesWriter::Open() {
  if (events_ > 0) return;
  Emit("response.created", {{"response", ResponseJson("in_progress")}});
  Emit("response.in_progress", {{"response", ResponseJson("in_progress")}});
}

json::object ResponsesWriter::ItemJson(const Item& item) const {
  const char* const status = !item.is_done                ? "in_progress"
                             : finish_reason_ == "length" ? "incomplete"
                                                          : "completed";
  if (item.is_call) {
    return {{"id", item.id},          {"type", "function_call"},
            {"status", status},       {"call_id", item.call.id},
            {"name", item.call.name}, {"arguments", item.is_done ? item.call.arguments : ""}};
  }
  json::array content;
  if (item.is_done) content.push_back(PartJson(item.text));
  return {{"id", item.id},
          {"type", "message"},
          {"status", status},
          {"role", "assistant"},
          {"content", std::move(content)}};
}

std::string_view ResponsesWriter::FinalStatus() const {
  return finish_reason_ == "length" ? "incomplete" : "completed";
}

json::object ResponsesWriter::ResponseJson(std::string_view status) const {
  json::object out = {{"id", head_.id},
                      {"object", "response"},
                      {"created_at", head_.created},
                      {"status", json::string_view(status.data(), status.size())},
                      {"error", nullptr},
                      {"incomplete_details", nullptr},
                      {"model", head_.model}};
  if (status == "incomplete") out["incomplete_details"] = {{"reason", "max_output_tokens"}};
  for (const auto& [name, value] : echo_) out[name] = value;
  json::array items;
  for (const Item& item : items_) items.push_back(ItemJson(item));
  out["output"] = std::move(items);
  return out;
}

void ResponsesWriter::OpenMessage() {
  if (!items_.empty() && !items_.back().is_done) return;
  const std::string id = StrCat("msg_", head_.id.substr(head_.id.find('_') + 1), items_.size());
  items_.push_back({.id = id, .is_call = false, .is_done = false, .text = "", .call = {}});
  const size_t index = items_.size() - 1;
  Emit("response.output_item.added", {{"output_index", index}, {"item", ItemJson(items_.back())}});
  Emit("response.content_part.added",
       {{"item_id", id}, {"output_index", index}, {"content_index", 0}, {"part", PartJson("")}});
}

void ResponsesWriter::AddText(const std::string& text) {
  if (text.empty()) return;
  OpenMessage();
  Item& item = items_.back();
  item.text += text;
  Emit("response.output_text.delta", {{"item_id", item.id},
                                      {"output_index", items_.size() - 1},
                                      {"content_index", 0},
                                      {"delta", text},
                                      {"logprobs", json::array()}});
}

void ResponsesWriter::CloseMessage() {
  if (items_.empty() || items_.back().is_done) return;
  Item& item = items_.back();
  item.is_done = true;
  const size_t index = items_.size() - 1;
  const json::object where = {{"item_id", item.id}, {"output_index", index}, {"content_index", 0}};
  json::object text = where;
  text["text"] = item.text;
  text["logprobs"] = json::array();
  Emit("response.output_text.done", std::move(text));
  json::object part = where;
  part["part"] = PartJson(item.text);
  Emit("response.content_part.done", std::move(part));
  Emit("response.output_item.done", {{"output_index", index}, {"item", ItemJson(item)}});
}

void ResponsesWriter::AddCall(const ToolCall& call) {
  CloseMessage();
  const std::string id = StrCat("fc_", head_.id.substr(head_.id.find('_') + 1), items_.size());
  items_.push_back({.id = id, .is_call = true, .is_done = false, .text = "", .call = call});
  Item& item = items_.back();
  const size_t index = items_.size() - 1;
  Emit("response.output_item.added", {{"output_index", index}, {"item", ItemJson(item)}});
  item.is_done = true;
  Emit("response.function_call_arguments.delta",
       {{"item_id", id}, {"output_index", index}, {"delta", call.arguments}});
  Emit("response.function_call_arguments.done", {{"item_id", id},
                                                 {"output_index", index},
                                                 {"name", call.name},
                                                 {"arguments", call.arguments}});
  Emit("response.output_item.done", {{"output_index", index}, {"item", ItemJson(item)}});
}

std::string ResponsesWriter::OnPiece(const Piece& piece) {
  Open();
  finish_reason_ = piece.finish_reason;
  AddText(piece.text);
  for (const ToolCall& call : piece.calls) AddCall(call);
  if (!finish_reason_.empty()) {
    // An answer without a word is a message without one.
    if (items_.empty()) OpenMessage();
    CloseMessage();
  }
  return std::exchange(out_, {});
}

json::object ResponsesWriter::Whole(const Usage& usage) const {
  json::object out = ResponseJson(FinalStatus());
  out["usage"] = ResponsesUsageJson(usage);
  return out;
}

std::string ResponsesWriter::OnEnd(const Usage& usage) {
  Open();
  Emit(StrCat("response.", FinalStatus()), {{"response", Whole(usage)}});
  return std::exchange(out_, {});
}

std::string ResponsesWriter::OnError(const ApiError& error) {
  Open();
  json::object response = ResponseJson("failed");
  response["error"] = {{"code", error.status == 429 ? "rate_limit_exceeded" : "server_error"},
                       {"message", error.message}};
  Emit("response.failed", {{"response", std::move(response)}});
  return std::exchange(out_, {});
}

}  // namespace shoal::api
