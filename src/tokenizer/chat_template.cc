#include "tokenizer/chat_template.h"

#include "base/str_cat.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/parser.h"
#include "tokenizer/jinja/runtime.h"

namespace shoal::tokenizer {

ChatTemplate::ChatTemplate(std::shared_ptr<const jinja::Template> compiled)
    : compiled_(std::move(compiled)) {}

Result<ChatTemplate> ChatTemplate::Load(std::string_view template_text) {
  Result<std::shared_ptr<const jinja::Template>> compiled = jinja::ParseTemplate(template_text);
  if (!compiled) return FailWithContext(std::move(compiled).error(), "chat template");
  return ChatTemplate(*std::move(compiled));
}

Result<std::string> ChatTemplate::Render(const ChatInput& input) const {
  TextMap<jinja::Value> variables;
  const auto set_list = [&](std::string_view name, const boost::json::array* list) -> Status {
    jinja::Value value;
    if (list != nullptr) {
      ASSIGN_OR_RETURN(value, jinja::FromJson(*list));
    }
    variables.insert_or_assign(std::string(name), std::move(value));
    return {};
  };
  RETURN_IF_ERROR(set_list("messages", &input.messages));
  RETURN_IF_ERROR(set_list("tools", input.tools));
  RETURN_IF_ERROR(set_list("documents", input.documents));
  variables.insert_or_assign("add_generation_prompt", jinja::Value(input.add_generation_prompt));
  for (const auto& entry : input.variables) {
    ASSIGN_OR_RETURN(jinja::Value value, jinja::FromJson(entry.value()));
    variables.insert_or_assign(std::string(entry.key().data(), entry.key().size()),
                               std::move(value));
  }
  jinja::Runtime runtime(jinja::Limits{}, input.clock);
  Result<std::string> text = jinja::Render(*compiled_, std::move(variables), runtime);
  if (!text) return FailWithContext(std::move(text).error(), "chat template");
  return text;
}

}  // namespace shoal::tokenizer
