#include "tokenizer/vocabulary.h"

#include "base/str_cat.h"

namespace shoal::tokenizer {

Status Vocabulary::Add(std::string_view token, int64_t id) {
  if (id < 0 || id >= kMaxTokens) {
    return Fail(Code::kInvalidArgument,
                StrCat("the id ", id, " of token \"", token, "\" is not in [0, ", kMaxTokens, ")"));
  }
  const auto index = static_cast<size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  if (!tokens_[index]) tokens_[index] = std::string(token);
  ids_.insert_or_assign(std::string(token), static_cast<int32_t>(id));
  return {};
}

}  // namespace shoal::tokenizer
