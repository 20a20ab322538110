// Special tokens around an encoded text: "<s> ... ".
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace shoal::tokenizer {

// Immutable and safe to share between threads.
class PostProcessor {
 public:
  // Adds nothing.
  PostProcessor() = default;
  // The field "post_processor" of tokenizer.json: TemplateProcessing (its template for one text),
  // BertProcessing, RobertaProcessing, ByteLevel (which concerns offsets only), Sequence.
  // kUnimplemented for other types.
  static Result<PostProcessor> FromJson(const model::JsonObject& object);

  // The ids with the special ones around them. kResourceExhausted when a template repeats the text
  // so often that there would be more than 2^28 of them.
  Result<std::vector<int32_t>> Apply(std::vector<int32_t> ids) const;

 private:
  // One template: ids to insert, and nullopt where the text goes.
  using Template = std::vector<std::optional<int32_t>>;

  Status Read(const model::JsonObject& object, int depth);
  Status ReadTemplate(const model::JsonObject& object);
  Status ReadPair(const model::JsonObject& object);

  std::vector<Template> templates_;  // Applied one after the other.
};

}  // namespace shoal::tokenizer
