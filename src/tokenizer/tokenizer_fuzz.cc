// Hostile tokenizers and chat templates: whatever the bytes, they end in a value or an error.
//
// The first byte says what follows; a zero byte ends a file and begins a text for it.
#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "tokenizer/convert/convert.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace {

using namespace shoal;
using namespace shoal::tokenizer;

constexpr size_t kMaxTextBytes = 256;
constexpr std::string_view kText = "The 12 漢字 don't  stop\n<s>\xC3\xA9";

void FuzzTokenizer(std::string_view json, std::string_view text) {
  const auto loaded = Tokenizer::Load(json);
  if (!loaded) return;
  const Tokenizer& tokenizer = **loaded;
  for (const std::string_view input : {text.substr(0, kMaxTextBytes), kText}) {
    const auto ids = tokenizer.Encode(input, true);
    if (!ids) continue;
    const std::string decoded = tokenizer.Decode(*ids, false);
    CHECK(IsValidUtf8(decoded));
    StreamDecoder decoder(tokenizer, false);
    std::string streamed;
    for (const int32_t id : *ids) streamed += decoder.Push(id);
    CHECK(streamed + decoder.Flush() == decoded);
  }
}

void FuzzModelFile(std::string_view name, std::string_view content) {
  const auto json = TokenizerJsonOf(name, content, "");
  if (json) FuzzTokenizer(*json, "");
}

void FuzzGguf(std::string_view content) {
  const auto gguf = model::Gguf::Parse(AsBytes(content), "fuzz");
  if (!gguf) return;
  const auto json = TokenizerJsonOfGguf(*gguf);
  if (json) FuzzTokenizer(*json, "");
  (void)TokenizerConfigOfGguf(*gguf);
}

// With limits that a slow build reaches within a second too.
void FuzzTemplate(std::string_view text) {
  const auto compiled = jinja::ParseTemplate(text);
  if (!compiled) return;
  jinja::Limits limits;
  limits.steps = 20'000;
  limits.made_bytes = size_t{8} << 20;
  limits.output_bytes = size_t{1} << 20;
  const boost::json::array messages = {
      {{"role", "system"}, {"content", "Be brief."}},
      {{"role", "user"}, {"content", "Hi"}},
      {{"role", "assistant"},
       {"content", nullptr},
       {"tool_calls", {{{"function", {{"name", "f"}, {"arguments", {{"x", 1}}}}}}}}}};
  TextMap<jinja::Value> variables;
  variables.emplace("messages", *jinja::FromJson(messages));
  variables.emplace("bos_token", *jinja::FromJson("<s>"));
  jinja::Runtime runtime(limits, nullptr);
  const auto rendered = jinja::Render(**compiled, std::move(variables), runtime);
  if (rendered) CHECK(rendered->size() <= limits.output_bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view content = AsText(Bytes(data + 1, size - 1));
  const size_t end = std::min(content.find('\0'), content.size());
  switch (data[0] % 5) {
    case 0:
      FuzzTokenizer(content.substr(0, end), content.substr(std::min(end + 1, content.size())));
      break;
    case 1:
      FuzzModelFile("tokenizer.model", content);
      break;
    case 2:
      FuzzModelFile("tiktoken.model", content);
      break;
    case 3:
      FuzzGguf(content);
      break;
    default:
      FuzzTemplate(content);
  }
  return 0;
}
