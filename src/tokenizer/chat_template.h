// Conversations to prompts: a model's chat template, run as Hugging Face transformers runs it.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace shoal::tokenizer {

namespace jinja {
class Template;
}

// What a template is rendered with. The references are only used during Render.
struct ChatInput {
  const boost::json::array& messages;             // Of objects; usually with role and content.
  const boost::json::array* tools = nullptr;      // `tools` is none in the template when null.
  const boost::json::array* documents = nullptr;  // Likewise.
  bool add_generation_prompt = true;              // Ends with the beginning of an answer.
  // More variables of the template: bos_token, eos_token, enable_thinking, ... They replace those
  // above where a name is the same.
  boost::json::object variables;
  // The local time for templates that call strftime_now. Without it those fail.
  std::function<std::tm()> clock;
};

// Immutable; may be rendered from several threads at once.
class ChatTemplate {
 public:
  // kInvalidArgument, with the line, when the text is not a Jinja template; kUnimplemented when it
  // uses a statement that is not supported.
  static Result<ChatTemplate> Load(std::string_view template_text);

  // The prompt. Errors name the template's line:
  //   kInvalidArgument     the template refuses the conversation (raise_exception)
  //   kFailedPrecondition  the template cannot cope with it: an undefined value, a wrong type
  //   kUnimplemented       it uses a filter, test or method that is not supported
  //   kResourceExhausted   it does not end, nests too deep or makes too much text
  Result<std::string> Render(const ChatInput& input) const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::Template> compiled);

  std::shared_ptr<const jinja::Template> compiled_;
};

}  // namespace shoal::tokenizer
