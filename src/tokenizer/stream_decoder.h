// Text from token ids as they come.
#pragma once

#include <cstdint>
#include <string>

#include "tokenizer/decoder.h"
#include "tokenizer/tokenizer.h"

namespace shoal::tokenizer {

// What Push and Flush return, put together, is exactly Tokenizer::Decode of all the ids. Every part
// is whole characters; bytes that may yet become one are held back, and so is a run of byte
// fallback tokens, since its last byte decides about all of it. Not thread-safe.
class StreamDecoder {
 public:
  // `tokenizer` must outlive this object.
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special);
  StreamDecoder(const StreamDecoder&) = delete;
  StreamDecoder& operator=(const StreamDecoder&) = delete;

  // The text that `id` makes certain; often empty.
  std::string Push(int32_t id);
  // The end: the text that was held back. Nothing may be pushed after it.
  std::string Flush();

 private:
  const Tokenizer& tokenizer_;
  const bool skip_special_;
  std::string ready_;
  DecoderChain chain_;
};

}  // namespace shoal::tokenizer
