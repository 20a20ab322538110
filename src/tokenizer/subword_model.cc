#include "tokenizer/subword_model.h"

#include "base/str_cat.h"
#include "tokenizer/bpe.h"
#include "tokenizer/unigram.h"

namespace shoal::tokenizer {

Result<std::unique_ptr<SubwordModel>> ParseSubwordModel(const model::JsonObject& object) {
  // Files of early versions name no type; the fields tell.
  const boost::json::value* vocab = object.Find("vocab");
  const bool lists_scores = vocab != nullptr && vocab->is_array();
  ASSIGN_OR_RETURN(const std::string type, object.TextOr("type", lists_scores ? "Unigram" : "BPE"));
  if (type == "BPE") return Bpe::FromJson(object);
  if (type == "RankedBPE") return Bpe::FromRankedJson(object);
  if (type == "Unigram") return Unigram::FromJson(object);
  return Fail(Code::kUnimplemented, StrCat(object.where(), ": the model type \"", type,
                                           "\" is not supported; BPE and Unigram are"));
}

ByteTokens::ByteTokens(const Vocabulary& vocabulary) : ids_(256, -1) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string token = StrCat("<0x", kDigits[byte >> 4], kDigits[byte & 15], ">");
    ids_[byte] = vocabulary.Find(token).value_or(-1);
  }
}

bool ByteTokens::Append(std::string_view bytes, std::vector<int32_t>& ids) const {
  if (ids_.empty()) return false;
  for (const char byte : bytes) {
    if (ids_[static_cast<uint8_t>(byte)] < 0) return false;
  }
  for (const char byte : bytes) ids.push_back(ids_[static_cast<uint8_t>(byte)]);
  return true;
}

}  // namespace shoal::tokenizer
