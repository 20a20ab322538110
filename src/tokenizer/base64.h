// Base64 (RFC 4648), as tokenizer files have it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace shoal::tokenizer {

// Standard base64 with padding; kInvalidArgument for anything else.
Result<std::string> DecodeBase64(std::string_view encoded);
std::string EncodeBase64(std::string_view bytes);

}  // namespace shoal::tokenizer
