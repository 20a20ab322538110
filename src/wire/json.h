// The JSON form of a frame: for the browser's side of the codec, logs and golden vectors.
//
//   {"kind":"cancel","to":2,"from":0,"body":{"session":"7","epoch":1}}
//
// Fields have the names and the order of frames.h. u64 are decimal strings (a JavaScript number
// would lose their low bits), Sha256 and byte strings lower-case hex, enumerations their names,
// floats the shortest decimal that reads back the same. A payload is either hex in "payload" or
// carried beside the text, which then has its size in "payload_bytes".
//
// Reading is strict: every field exactly once, in any order ("kind" before "body"), no others; one
// value and nothing after it; no comments, no NaN; at most kJsonBytesMax bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/frames.h"

namespace shoal::wire {

inline constexpr size_t kJsonBytesMax = 16u << 20;

enum class PayloadForm {
  kHex,     // In the text.
  kBeside,  // Only its size: for logs, and for a caller that carries the bytes itself.
};

std::string ToJson(const Frame& frame, PayloadForm form);

// The frame, after Validate. `beside`: the payload that "payload_bytes" announces, if there is one;
// its size must be the announced one. kInvalidArgument or kResourceExhausted, naming the field.
Result<Frame> FromJson(std::string_view text, std::optional<Bytes> beside = std::nullopt);

// One struct of frames.h that is part of a body, by itself: {"row":0,"seed":"7",...}.
std::string ToJson(const Sampling& sampling);
std::string ToJson(const Token& token);
Result<Sampling> SamplingFromJson(std::string_view text);
// {"kind":"step","to":1,"from":0,"body_bytes":42}
std::string ToJson(const Header& header);

// `text` as a JSON string, with its quotes; what is not UTF-8 becomes U+FFFD.
std::string JsonQuote(std::string_view text);

}  // namespace shoal::wire
