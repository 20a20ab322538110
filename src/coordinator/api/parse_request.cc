#include "coordinator/api/parse_request.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <limits>
#include <utility>

#include "base/str_cat.h"
#include "coordinator/api/fields.h"
#include "coordinator/api/parse_messages.h"
#include "coordinator/api/read_response_format.h"
#include "coordinator/api/read_tools.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

bool IsEmpty(const json::value& value) {
  return (value.is_array() && value.get_array().empty()) ||
         (value.is_object() && value.get_object().empty()) ||
         (value.is_string() && value.get_string().empty());
}

// Refuses what is understood, not there yet, and would change the answer.
void RefuseUnsupported(Fields& fields, Shape shape) {
  for (const char* name : {"functions", "audio", "prediction", "web_search_options"}) {
    if (shape != Shape::kChat) break;
    const json::value* value = fields.Find(name);
    if (value != nullptr && !IsEmpty(*value)) fields.Fail(name, "is not supported");
  }
  if (const json::array* modalities = fields.Array("modalities")) {
    for (const json::value& modality : *modalities) {
      if (modality != "text") fields.Fail("modalities", "supports only [\"text\"]");
    }
  }
  if (shape == Shape::kChat) return;
  if (const json::object* format = fields.Object("response_format")) {
    if (!format->empty()) fields.Fail("response_format", "is supported in chats only");
  }
  if (fields.String("suffix").value_or("") != "") fields.Fail("suffix", "is not supported");
  const auto best_of = fields.Integer("best_of", 1, kMaxChoices);
  if (best_of && *best_of != fields.Integer("n", 1, kMaxChoices).value_or(1)) {
    fields.Fail("best_of", "is supported only where it equals 'n'");
  }
}

void ReadModel(Fields& fields, const ModelFacts& model) {
  const auto name = fields.String("model");
  if (name && !name->empty() && *name != model.id) fields.Fail(ModelNotFound(*name));
}

void ReadBiases(Fields& fields, const ModelFacts& model, wire::Sampling& sampling) {
  const json::object* biases = fields.Object("logit_bias");
  if (biases == nullptr) return;
  if (biases->size() > kMaxBiases) {
    return fields.Fail("logit_bias", StrCat("may have at most ", kMaxBiases, " entries"));
  }
  sampling.biases.clear();
  for (const auto& [key, value] : *biases) {
    int32_t token = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size() || token < 0 ||
        static_cast<uint32_t>(token) >= model.vocab_size) {
      return fields.Fail("logit_bias", StrCat("must map token ids below ", model.vocab_size,
                                              " to numbers; there is a key ", key));
    }
    const double bias = value.is_number() ? value.to_number<double>() : 1000;
    if (!(bias >= -100 && bias <= 100)) {
      return fields.Fail("logit_bias", StrCat("must map token ids to numbers from -100 to 100; ",
                                              "that of token ", key, " is none"));
    }
    sampling.biases.push_back({token, static_cast<float>(bias)});
  }
}

void ReadSampling(Fields& fields, const ModelFacts& model, CompletionRequest& out) {
  wire::Sampling& sampling = out.sampling;
  const auto read = [&fields](const char* name, double min, double max, float& value) {
    if (const auto number = fields.Number(name, min, max)) value = static_cast<float>(*number);
  };
  read("temperature", 0, 2, sampling.temperature);
  read("top_p", 0, 1, sampling.top_p);
  read("min_p", 0, 1, sampling.min_p);
  read("frequency_penalty", -2, 2, sampling.frequency_penalty);
  read("presence_penalty", -2, 2, sampling.presence_penalty);
  read("repetition_penalty", 0.01, 10, sampling.repetition_penalty);
  constexpr int64_t kMaxU32 = std::numeric_limits<uint32_t>::max();
  if (const auto top_k = fields.Integer("top_k", -1, kMaxU32)) {
    sampling.top_k = *top_k < 0 ? 0 : static_cast<uint32_t>(*top_k);  // -1 is how others say "off".
  }
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  if (const auto seed = fields.Integer("seed", kMin, kMax)) {
    out.seed = static_cast<uint64_t>(*seed);
  }
  ReadBiases(fields, model, sampling);
}

// Chat: logprobs is a boolean and top_logprobs a number; completions: logprobs is the number.
void ReadLogprobs(Fields& fields, CompletionRequest& out) {
  if (out.shape == Shape::kCompletion) {
    const json::value* value = fields.Find("logprobs");
    if (value == nullptr || *value == false) return;
    const auto count = fields.Integer("logprobs", 0, kMaxTopLogprobs);
    out.wants_logprobs = true;
    out.sampling.top_logprobs = static_cast<uint32_t>(count.value_or(0));
    if (out.echoes_prompt) {
      fields.Fail("logprobs", "of the prompt are not supported: not together with 'echo'");
    }
    return;
  }
  out.wants_logprobs = fields.Bool("logprobs").value_or(false);
  const auto count = fields.Integer("top_logprobs", 0, kMaxTopLogprobs);
  if (count && *count > 0 && !out.wants_logprobs) {
    fields.Fail("top_logprobs", "needs 'logprobs' to be true");
  }
  out.sampling.top_logprobs = static_cast<uint32_t>(count.value_or(0));
}

void ReadStops(Fields& fields, CompletionRequest& out) {
  const json::value* stop = fields.Find("stop");
  if (stop == nullptr) return;
  const auto add = [&](const json::value& value) {
    if (!value.is_string() || value.get_string().empty() ||
        value.get_string().size() > kMaxStopBytes) {
      return fields.Fail("stop", StrCat("must be a string, or an array of strings, of 1 to ",
                                        kMaxStopBytes, " bytes"));
    }
    out.stops.emplace_back(value.get_string());
  };
  if (!stop->is_array()) return add(*stop);
  if (stop->get_array().size() > kMaxStops) {
    return fields.Fail("stop", StrCat("may have at most ", kMaxStops, " sequences"));
  }
  for (const json::value& value : stop->get_array()) add(value);
}

void ReadLengths(Fields& fields, CompletionRequest& out) {
  constexpr int64_t kMax = std::numeric_limits<uint32_t>::max();
  auto limit = fields.Integer("max_tokens", 1, kMax);
  if (out.shape == Shape::kChat) {
    if (const auto newer = fields.Integer("max_completion_tokens", 1, kMax)) limit = newer;
  }
  if (limit) out.max_tokens = static_cast<uint32_t>(*limit);
  out.choices_per_prompt = static_cast<uint32_t>(fields.Integer("n", 1, kMaxChoices).value_or(1));
}

void ReadStreaming(Fields& fields, CompletionRequest& out) {
  out.is_streamed = fields.Bool("stream").value_or(false);
  const json::object* options = fields.Object("stream_options");
  if (options == nullptr) return;
  if (!out.is_streamed) return fields.Fail("stream_options", "needs 'stream' to be true");
  Fields nested(*options, "stream_options.");
  out.includes_usage = nested.Bool("include_usage").value_or(false);
  if (nested.error()) fields.Fail(*nested.error());
}

}  // namespace

std::expected<json::object, ApiError> ParseBody(std::string_view body) {
  if (body.size() > kMaxBodyBytes) {
    ApiError error;
    error.status = 413;
    error.message =
        StrCat("The body has ", body.size(), " bytes; ", kMaxBodyBytes, " are allowed.");
    return std::unexpected(error);
  }
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  json::error_code error;
  json::value root = json::parse({body.data(), body.size()}, error, {}, options);
  if (error || !root.is_object()) {
    ApiError refusal;
    refusal.message = error ? StrCat("The body is not valid JSON: ", error.message(), ".")
                            : StrCat("The body must be a JSON object, not ", KindName(root), ".");
    return std::unexpected(refusal);
  }
  return std::move(root.get_object());
}

std::expected<CompletionRequest, ApiError> ParseRequest(std::string_view body, Shape shape,
                                                        const ModelFacts& model) {
  const auto root = ParseBody(body);
  if (!root) return std::unexpected(root.error());
  return ReadRequest(*root, shape, model);
}

std::expected<CompletionRequest, ApiError> ReadRequest(const json::object& body, Shape shape,
                                                       const ModelFacts& model) {
  Fields fields(body);
  CompletionRequest out;
  out.shape = shape;
  out.sampling = model.default_sampling;
  out.sampling.top_logprobs = 0;
  ReadModel(fields, model);
  RefuseUnsupported(fields, shape);
  ReadLengths(fields, out);
  if (shape == Shape::kChat) {
    ReadMessages(fields, out);
    ReadTools(fields, model, out);
    ReadResponseFormat(fields, out);
  } else {
    out.echoes_prompt = fields.Bool("echo").value_or(false);
    ReadPrompts(fields, model, out);
  }
  ReadSampling(fields, model, out);
  ReadLogprobs(fields, out);
  ReadStops(fields, out);
  ReadStreaming(fields, out);
  out.ignores_end = fields.Bool("ignore_eos").value_or(false);
  out.returns_token_ids = fields.Bool("return_token_ids").value_or(false);
  if (out.grammar != nullptr && (out.ignores_end || model.end_ids.empty())) {
    fields.Fail(out.call_form == ToolForm::kForced ? "tool_choice" : "response_format",
                "needs a model that ends its answers, and not 'ignore_eos'");
  }
  if (fields.error()) return std::unexpected(*fields.error());
  return out;
}

}  // namespace shoal::api
