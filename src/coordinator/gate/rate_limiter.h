// How often each client may do something: a token bucket each, which fills by `per_minute` and
// holds at most `burst`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/time.h"

namespace shoal {

class RateLimiter {
 public:
  struct Options {
    uint32_t per_minute = 0;     // 0: no limit.
    uint32_t burst = 1;          // At least 1.
    size_t clients_max = 65536;  // Beyond these, newcomers share one bucket.
  };
  explicit RateLimiter(Options options);

  // Takes one and gives 0; or gives the whole seconds after which there will be one again.
  uint32_t Take(std::string_view client, Micros now);

 private:
  struct Bucket {
    double tokens = 0;
    Micros at = 0;  // When `tokens` were counted.
  };
  void DropFull(Micros now);
  double TokensAt(const Bucket& bucket, Micros now) const;

  const Options options_;
  std::unordered_map<std::string, Bucket> buckets_;
};

}  // namespace shoal
