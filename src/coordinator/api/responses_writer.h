// The answer to POST /v1/responses as OpenAI's clients read it: a list of items (a message, calls
// of functions), whole or as a stream of named events that build it up.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/api/answer_json.h"
#include "coordinator/api/choice.h"
#include "coordinator/api/errors.h"

namespace shoal::api {

class ResponsesWriter {
 public:
  // `echo`: what the answer repeats of its request.
  ResponsesWriter(AnswerHead head, boost::json::object echo)
      : head_(std::move(head)), echo_(std::move(echo)) {}

  // Each gives the server-sent events that a stream goes on by; the first begins with those that
  // open it. OnEnd and OnError come last, and only one of them.
  std::string OnPiece(const Piece& piece);
  std::string OnEnd(const Usage& usage);
  std::string OnError(const ApiError& error);

  // The answer, after its last piece.
  boost::json::object Whole(const Usage& usage) const;

 private:
  struct Item {
    std::string id;
    bool is_call = false;
    bool is_done = false;
    std::string text;  // Of a message.
    ToolCall call;
  };

  void Emit(std::string_view type, boost::json::object event);
  void Open();
  void OpenMessage();
  void AddText(const std::string& text);
  void AddCall(const ToolCall& call);
  void CloseMessage();
  boost::json::object ItemJson(const Item& item) const;
  boost::json::object ResponseJson(std::string_view status) const;
  std::string_view FinalStatus() const;

  const AnswerHead head_;
  const boost::json::object echo_;
  std::vector<Item> items_;
  std::string finish_reason_;
  uint64_t events_ = 0;
  std::string out_;
};

}  // namespace shoal::api
