// What is done to a text before it is cut into pieces.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "model/json.h"

namespace shoal::tokenizer {

// Immutable and safe to share between threads.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // `text` is valid UTF-8 and so is the result. kResourceExhausted when it would be too long.
  virtual Result<std::string> Apply(std::string text) const = 0;
};

// A normalized text may be at most this much longer than what it came from: what a tokenizer.json
// with hostile replacements can cost.
inline constexpr size_t kMaxNormalizedBytes = size_t{256} << 20;

// The field "normalizer" of tokenizer.json: NFC, NFD, NFKC, NFKD, Lowercase, Replace, Prepend,
// Strip, StripAccents, ByteLevel, Precompiled, Sequence. kUnimplemented for other types.
Result<std::unique_ptr<Normalizer>> ParseNormalizer(const model::JsonObject& object);

}  // namespace shoal::tokenizer
