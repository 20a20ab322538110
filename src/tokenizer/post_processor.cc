#include "tokenizer/post_processor.h"

#include "base/str_cat.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer {

namespace {

constexpr size_t kMaxProcessorParts = 256;
constexpr size_t kMaxIds = size_t{1} << 28;
constexpr int kMaxProcessorDepth = 4;

// A [token, id] pair as Bert's and Roberta's processors have it.
Result<int32_t> TokenIdOfPair(const model::JsonObject& object, std::string_view name) {
  const boost::json::value* pair = object.Find(name);
  if (pair == nullptr || !pair->is_array() || pair->get_array().size() != 2 ||
      !pair->get_array()[1].is_int64()) {
    return object.Wrong(name, "expected [token, id]");
  }
  const int64_t id = pair->get_array()[1].get_int64();
  if (id < 0 || id >= kMaxTokens) {
    return object.Wrong(name, StrCat("the id ", id, " is not in [0, ", kMaxTokens, ")"));
  }
  return static_cast<int32_t>(id);
}

}  // namespace

Result<PostProcessor> PostProcessor::FromJson(const model::JsonObject& object) {
  PostProcessor processor;
  RETURN_IF_ERROR(processor.Read(object, 0));
  return processor;
}

Status PostProcessor::Read(const model::JsonObject& object, int depth) {
  ASSIGN_OR_RETURN(const std::string type, object.Text("type"));
  if (type == "TemplateProcessing") return ReadTemplate(object);
  if (type == "BertProcessing" || type == "RobertaProcessing") return ReadPair(object);
  if (type == "ByteLevel") return {};
  if (type == "Sequence" && depth < kMaxProcessorDepth) {
    ASSIGN_OR_RETURN(const auto parts, object.Objects("processors", kMaxProcessorParts));
    for (const model::JsonObject& part : parts) RETURN_IF_ERROR(Read(part, depth + 1));
    return {};
  }
  return Fail(Code::kUnimplemented,
              StrCat(object.where(), ": the post-processor \"", type, "\" is not supported here"));
}

Status PostProcessor::ReadTemplate(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(const auto parts, object.Objects("single", kMaxProcessorParts));
  Template made;
  for (const model::JsonObject& part : parts) {
    if (part.Has("Sequence")) {
      ASSIGN_OR_RETURN(const model::JsonObject sequence, part.Object("Sequence"));
      ASSIGN_OR_RETURN(const std::string which, sequence.Text("id"));
      if (which != "A") return sequence.Wrong("id", "a template for one text has only \"A\"");
      made.push_back(std::nullopt);
      continue;
    }
    ASSIGN_OR_RETURN(const model::JsonObject special, part.Object("SpecialToken"));
    ASSIGN_OR_RETURN(const std::string name, special.Text("id"));
    ASSIGN_OR_RETURN(const model::JsonObject specials, object.Object("special_tokens"));
    ASSIGN_OR_RETURN(const model::JsonObject entry, specials.Object(name));
    ASSIGN_OR_RETURN(const auto ids, entry.Uints("ids", kMaxTokens - 1, kMaxProcessorParts));
    for (const uint64_t id : ids) made.push_back(static_cast<int32_t>(id));
  }
  return SetTemplate(object, std::move(made));
}

Status PostProcessor::ReadPair(const model::JsonObject& object) {
  ASSIGN_OR_RETURN(const int32_t first, TokenIdOfPair(object, "cls"));
  ASSIGN_OR_RETURN(const int32_t last, TokenIdOfPair(object, "sep"));
  return SetTemplate(object, {first, std::nullopt, last});
}

Status PostProcessor::SetTemplate(const model::JsonObject& object, Template made) {
  if (template_) {
    return Fail(Code::kUnimplemented,
                StrCat(object.where(), ": only one processor of a sequence may add tokens"));
  }
  template_ = std::move(made);
  return {};
}

Result<std::vector<int32_t>> PostProcessor::Apply(std::vector<int32_t> ids) const {
  if (!template_) return ids;
  std::vector<int32_t> out;
  for (const std::optional<int32_t>& part : *template_) {
    if (part) {
      out.push_back(*part);
    } else {
      out.insert(out.end(), ids.begin(), ids.end());
    }
    if (out.size() > kMaxIds) {
      return Fail(Code::kResourceExhausted, StrCat("more than ", kMaxIds, " token ids"));
    }
  }
  return out;
}

}  // namespace shoal::tokenizer
