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
  // BertProcessing, RobertaProcessing, ByteLevel (which concerns offsets only), or a Sequence of
  // them with at most one that adds tokens. kUnimplemented for anything else.
  static Result<PostProcessor> FromJson(const model::JsonObject& object);

  // The ids with the special ones around them. kResourceExhausted when a template repeats the text
  // so often that there would be more than 2^28 of them.
  Result<std::vector<int32_t>> Apply(std::vector<int32_t> ids) const;

 private:
  Status Read(const model::JsonObject& object, int depth);
  Status ReadTemplate(const model::JsonObject& object);
  Status ReadPair(const model::JsonObject& object);

  using Template = std::vector<std::optional<int32_t>>;
  Status SetTemplate(const model::JsonObject& object, Template made);

  // Ids to insert, and nullopt where the text goes. Absent: the text alone.
  std::optional<Template> template_;
};

}  // namespace shoal::tokenizer
