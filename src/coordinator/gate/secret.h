// A secret that what strangers present is compared with. Only its hash is kept, and a comparison
// takes the same time whatever is presented, so that nothing is learnt by trying.
#pragma once

#include <string_view>

#include "store/sha256.h"

namespace shoal {

class Secret {
 public:
  explicit Secret(std::string_view text);
  bool Matches(std::string_view presented) const;

 private:
  store::Sha256 hash_;
};

}  // namespace shoal
