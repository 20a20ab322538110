#include "tokenizer/stream_decoder.h"

#include <utility>

namespace shoal::tokenizer {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer),
      skip_special_(skip_special),
      chain_(tokenizer.decoder().NewChain(ready_)) {}

std::string StreamDecoder::Push(int32_t id) {
  if (const auto token = tokenizer_.DecoderInput(id, skip_special_)) chain_.Push(*token);
  return std::exchange(ready_, {});
}

std::string StreamDecoder::Flush() {
  chain_.Flush();
  return std::exchange(ready_, {});
}

}  // namespace shoal::tokenizer
