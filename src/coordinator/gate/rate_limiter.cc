#include "coordinator/gate/rate_limiter.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace shoal {
namespace {

constexpr double kMinute = 60.0 * static_cast<double>(kSecond);
// Everybody for whom there is no room. No client has this name: names are addresses or keys.
constexpr const char* kOthers = "";

}  // namespace

RateLimiter::RateLimiter(Options options) : options_(options) { CHECK(options_.burst >= 1); }

double RateLimiter::TokensAt(const Bucket& bucket, Micros now) const {
  const double grown = static_cast<double>(now - bucket.at) * options_.per_minute / kMinute;
  return std::min<double>(options_.burst, bucket.tokens + grown);
}

void RateLimiter::DropFull(Micros now) {
  std::erase_if(buckets_,
                [&](const auto& entry) { return TokensAt(entry.second, now) >= options_.burst; });
}

uint32_t RateLimiter::Take(std::string_view client, Micros now) {
  if (options_.per_minute == 0) return 0;
  auto at = buckets_.find(std::string(client));
  if (at == buckets_.end()) {
    if (buckets_.size() >= options_.clients_max) DropFull(now);
    const bool has_room = buckets_.size() < options_.clients_max;
    const Bucket full{static_cast<double>(options_.burst), now};
    at = buckets_.try_emplace(has_room ? std::string(client) : kOthers, full).first;
  }
  Bucket& bucket = at->second;
  bucket = {TokensAt(bucket, now), now};
  if (bucket.tokens >= 1) {
    bucket.tokens -= 1;
    return 0;
  }
  const double wait = (1 - bucket.tokens) * 60.0 / options_.per_minute;
  return std::max(1u, static_cast<uint32_t>(std::ceil(wait)));
}

}  // namespace shoal
