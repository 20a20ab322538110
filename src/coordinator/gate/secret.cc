#include "coordinator/gate/secret.h"

#include <openssl/crypto.h>

namespace shoal {
namespace {

store::Sha256 Hash(std::string_view text) {
  return store::HashBytes({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace

Secret::Secret(std::string_view text) : hash_(Hash(text)) {}

bool Secret::Matches(std::string_view presented) const {
  const store::Sha256 hash = Hash(presented);
  return CRYPTO_memcmp(hash.data(), hash_.data(), hash.size()) == 0;
}

}  // namespace shoal
