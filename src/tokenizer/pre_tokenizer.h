// Cuts a normalized text into the pieces that the model turns into tokens, one by one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace shoal::tokenizer {

// A part of the text on its way to ids.
struct Piece {
  std::string text;
  int32_t id = -1;            // An added token when >= 0: nothing touches it any more.
  bool begins_input = false;  // Whether it begins where the input does.
};

// Immutable and safe to share between threads.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Replaces every piece that is no added token by its parts. Empty pieces vanish.
  virtual Status Apply(std::vector<Piece>& pieces) const = 0;
};

// The field "pre_tokenizer" of tokenizer.json: ByteLevel, Split, Metaspace, Digits, Punctuation,
// Whitespace, WhitespaceSplit, CharDelimiterSplit, Sequence. kUnimplemented for other types.
Result<std::unique_ptr<PreTokenizer>> ParsePreTokenizer(const model::JsonObject& object);

// The field "prepend_scheme" (and its older form, "add_prefix_space") of Metaspace.
enum class PrependScheme : uint8_t { kFirst, kNever, kAlways };
struct MetaspaceOptions {
  std::string replacement;  // One character, as UTF-8.
  PrependScheme prepend = PrependScheme::kAlways;
};
Result<MetaspaceOptions> ParseMetaspace(const model::JsonObject& object);

}  // namespace shoal::tokenizer
