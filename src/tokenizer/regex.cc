#include "tokenizer/regex.h"

#include <oniguruma.h>

#include <mutex>

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::tokenizer {

namespace {

// A greedy class over a run of n characters backtracks n times, so the limit is above the longest
// text that Tokenizer::Encode takes, and low enough to end a hostile pattern within seconds.
constexpr unsigned long kRetriesPerMatch = 50'000'000;
constexpr unsigned long kRetriesPerSearch = 200'000'000;
constexpr size_t kMaxPatternBytes = 1 << 16;

const OnigUChar* AsOnig(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

std::string OnigMessage(int code, OnigErrorInfo* info) {
  OnigUChar buffer[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int size = info != nullptr ? onig_error_code_to_str(buffer, code, info)
                                   : onig_error_code_to_str(buffer, code);
  return std::string(reinterpret_cast<const char*>(buffer), static_cast<size_t>(size));
}

struct RegionDeleter {
  void operator()(OnigRegion* region) const { onig_region_free(region, 1); }
};
struct MatchParamDeleter {
  void operator()(OnigMatchParam* param) const { onig_free_match_param(param); }
};

}  // namespace

void Regex::Deleter::operator()(re_pattern_buffer* pattern) const { onig_free(pattern); }

Result<Regex> Regex::Compile(std::string_view pattern) {
  static std::once_flag initialized;
  std::call_once(initialized, [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    CHECK(onig_initialize(encodings, 1) == ONIG_NORMAL);
  });
  if (pattern.size() > kMaxPatternBytes) {
    return Fail(Code::kInvalidArgument, StrCat("a regular expression of ", pattern.size(),
                                               " bytes; at most ", kMaxPatternBytes));
  }
  regex_t* compiled = nullptr;
  OnigErrorInfo info{};
  const int code = onig_new(&compiled, AsOnig(pattern), AsOnig(pattern) + pattern.size(),
                            ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
  if (code != ONIG_NORMAL) {
    return Fail(Code::kInvalidArgument, StrCat("not a regular expression that Oniguruma takes: ",
                                               OnigMessage(code, &info), ": ", pattern));
  }
  return Regex(Compiled(compiled));
}

Result<std::vector<Span>> Regex::FindAll(std::string_view text) const {
  std::vector<Span> matches;
  const std::unique_ptr<OnigRegion, RegionDeleter> region(onig_region_new());
  const std::unique_ptr<OnigMatchParam, MatchParamDeleter> param(onig_new_match_param());
  CHECK(region != nullptr && param != nullptr);
  CHECK(onig_initialize_match_param(param.get()) == ONIG_NORMAL);
  onig_set_retry_limit_in_match_of_match_param(param.get(), kRetriesPerMatch);
  onig_set_retry_limit_in_search_of_match_param(param.get(), kRetriesPerSearch);
  const OnigUChar* const begin = AsOnig(text);
  const OnigUChar* const end = begin + text.size();
  size_t from = 0;
  size_t last_end = std::string_view::npos;
  while (from <= text.size()) {
    const int found = onig_search_with_param(compiled_.get(), begin, end, begin + from, end,
                                             region.get(), ONIG_OPTION_NONE, param.get());
    if (found == ONIG_MISMATCH) break;
    if (found < 0) {
      return Fail(Code::kResourceExhausted, StrCat("a regular expression gave up on this text: ",
                                                   OnigMessage(found, nullptr)));
    }
    const auto match_begin = static_cast<size_t>(region->beg[0]);
    const auto match_end = static_cast<size_t>(region->end[0]);
    if (match_begin == match_end && match_end == last_end) {
      // Past the next character; behind the last one the loop ends.
      ++from;
      while (from < text.size() && (static_cast<uint8_t>(text[from]) & 0xC0) == 0x80) ++from;
      continue;
    }
    from = last_end = match_end;
    matches.push_back({match_begin, match_end});
  }
  return matches;
}

}  // namespace shoal::tokenizer
