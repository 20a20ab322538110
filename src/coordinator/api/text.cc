#include "coordinator/api/text.h"

#include <array>
#include <ctime>
#include <utility>

#include "base/str_cat.h"
#include "coordinator/api/read_tools.h"

namespace shoal::api {
namespace {

// What the tokenizer or the template says about a request's own text. Only what the server cannot
// do (kUnimplemented, kInternal) is not the client's to change.
ApiError InputError(const char* param, const Error& error) {
  if (error.code == Code::kUnimplemented || error.code == Code::kInternal) {
    return FromError({Code::kInternal, error.detail});
  }
  return InvalidParam(param, error.detail);
}

ApiError ContextError(const char* param, std::string message) {
  ApiError error = InvalidParam(param, std::move(message));
  error.code = "context_length_exceeded";
  return error;
}

// That the prompt, and the answer that is asked for, fit into the context.
std::optional<ApiError> CheckLength(const CompletionRequest& request, const ModelFacts& model,
                                    size_t prompt_tokens) {
  const char* param = request.shape == Shape::kChat ? "messages" : "prompt";
  if (prompt_tokens == 0) return InvalidParam(param, "The prompt has no tokens.");
  if (prompt_tokens >= model.context_tokens) {
    return ContextError(param, StrCat("This model's context is ", model.context_tokens,
                                      " tokens, prompt and answer ", "together. The prompt has ",
                                      prompt_tokens, " tokens; make it shorter."));
  }
  if (request.max_tokens && *request.max_tokens > model.context_tokens - prompt_tokens) {
    return ContextError(
        "max_tokens",
        StrCat("This model's context is ", model.context_tokens, " tokens. The request asks for ",
               prompt_tokens + *request.max_tokens, ": ", prompt_tokens, " of the prompt and ",
               *request.max_tokens, " of the answer. At most ",
               model.context_tokens - prompt_tokens, " are left for the answer."));
  }
  return std::nullopt;
}

}  // namespace

std::expected<std::vector<int32_t>, ApiError> Text::ChatIds(const CompletionRequest& request,
                                                            const ModelFacts& model,
                                                            int64_t unix_seconds) const {
  if (tokenizer_ == nullptr || chat_template_ == nullptr) {
    ApiError error =
        InvalidParam("messages", StrCat("The model '", model.id, "' has no ",
                                        tokenizer_ == nullptr ? "tokenizer" : "chat template",
                                        "; use /v1/completions."));
    error.code = "unsupported_model";
    return std::unexpected(std::move(error));
  }
  tokenizer::ChatInput input{.messages = request.messages, .variables = {}, .clock = {}};
  for (const auto& [name, value] : model.template_variables) input.variables[name] = value;
  for (const auto& [name, value] : request.template_fields) input.variables[name] = value;
  input.clock = [unix_seconds] {
    const std::time_t now = unix_seconds;
    std::tm parts = {};
    gmtime_r(&now, &parts);
    return parts;
  };
  if (!request.tools.empty()) input.tools = &request.tools;
  auto prompt = chat_template_->Render(input);
  if (!prompt && prompt.error().code == Code::kFailedPrecondition) {
    // Some templates paste the arguments of calls as they are: those want text.
    const boost::json::array messages = WithArgumentsAsText(request.messages);
    tokenizer::ChatInput again{.messages = messages,
                               .tools = input.tools,
                               .variables = input.variables,
                               .clock = input.clock};
    prompt = chat_template_->Render(again);
  }
  if (!prompt) return std::unexpected(InputError("messages", prompt.error()));
  // The template has written the special tokens itself.
  auto ids = tokenizer_->Encode(*prompt + request.answer_prefix, /*add_special=*/false);
  if (!ids) return std::unexpected(InputError("messages", ids.error()));
  return *std::move(ids);
}

std::expected<std::vector<int32_t>, ApiError> Text::PromptToIds(const Prompt& prompt) const {
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) return *ids;
  if (tokenizer_ == nullptr) {
    return std::unexpected(InvalidParam(
        "prompt", "This model has no tokenizer: 'prompt' must be an array of token ids."));
  }
  auto ids = tokenizer_->Encode(std::get<std::string>(prompt), /*add_special=*/true);
  if (!ids) return std::unexpected(InputError("prompt", ids.error()));
  return *std::move(ids);
}

std::expected<std::vector<std::vector<int32_t>>, ApiError> Text::PromptIds(
    const CompletionRequest& request, const ModelFacts& model, int64_t unix_seconds) const {
  std::vector<std::vector<int32_t>> out;
  if (request.shape == Shape::kChat) {
    auto ids = ChatIds(request, model, unix_seconds);
    if (!ids) return std::unexpected(std::move(ids).error());
    out.push_back(*std::move(ids));
  }
  for (const Prompt& prompt : request.prompts) {
    auto ids = PromptToIds(prompt);
    if (!ids) return std::unexpected(std::move(ids).error());
    out.push_back(*std::move(ids));
  }
  for (const std::vector<int32_t>& ids : out) {
    if (auto error = CheckLength(request, model, ids.size())) {
      return std::unexpected(*std::move(error));
    }
  }
  return out;
}

std::unique_ptr<tokenizer::StreamDecoder> Text::NewDecoder(bool skip_special) const {
  if (tokenizer_ == nullptr) return nullptr;
  return std::make_unique<tokenizer::StreamDecoder>(*tokenizer_, skip_special);
}

std::string Text::Decode(std::span<const int32_t> ids) const {
  return tokenizer_ == nullptr ? "" : tokenizer_->Decode(ids, /*skip_special=*/false);
}

std::string Text::TokenText(int32_t id) const {
  if (tokenizer_ == nullptr) return StrCat("token_id:", id);
  return Decode(std::array{id});
}

}  // namespace shoal::api
