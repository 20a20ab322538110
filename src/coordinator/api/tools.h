// Tools: how a model writes that it wants one called, and reading that out of its text.
//
// Models are taught different forms; which one, its chat template tells.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::api {

enum class ToolForm : uint8_t {
  kNone,      // The template knows no tools.
  kTagged,    // <tool_call>{"name": ..., "arguments": {...}}</tool_call>: Hermes, Qwen, ...
  kList,      // [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...] to the end: Mistral.
  kBareJson,  // The whole answer is {"name": ..., "parameters": {...}}: Llama 3.
  kForced,    // No template's: the whole answer can be nothing but a call, or a list of them.
};

// Of a template; never kForced.
ToolForm ToolFormOf(std::string_view chat_template);

// How a model is made to call, whose template is of `form` (not kNone): the beginning of its
// answer, which is put behind the prompt, and the JSON schema of what it then writes. `tools`:
// those it may choose from, each {"type": "function", "function": {...}}, at least one. Arguments
// keep to a tool's own schema where grammar/ can keep to it, and are any object where not.
struct ForcedCall {
  std::string prefix;
  boost::json::value schema;
};
ForcedCall ForceCall(ToolForm form, const boost::json::array& tools);

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // A JSON object, serialised.
};

// Takes an answer's text as it comes and parts it into what is to be shown and calls. What looks
// like a call and is none (no JSON, a tool that was not offered) is text like any other: nothing
// that the model wrote is lost.
class ToolCallReader {
 public:
  // `names`: of the tools that were offered. `id_base`: alphanumeric, at least 6 characters; what
  // the calls' ids are made of. kNone passes everything on.
  ToolCallReader(ToolForm form, std::vector<std::string> names, std::string id_base);

  struct Part {
    std::string text;
    std::vector<ToolCall> calls;
  };
  Part Push(std::string_view text);
  // The end: what was held back.
  Part Flush();

 private:
  void PushTagged(Part& out);
  // Reads `json` as one call or a list of them; false, and nothing in `out`, when it is neither.
  bool ReadCalls(std::string_view json, Part& out);
  std::string NextId();

  const ToolForm form_;
  const std::vector<std::string> names_;
  const std::string id_base_;
  std::string held_;
  bool is_open_ = false;   // Behind a beginning mark.
  bool is_plain_ = false;  // kBareJson: the answer began with something else.
  uint32_t calls_ = 0;
};

}  // namespace shoal::api
