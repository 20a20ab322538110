#include "coordinator/hub/resume_token.h"

#include <random>

namespace shoal {

std::string NewResumeToken() {
  std::random_device device;
  std::string token;
  while (token.size() < kResumeTokenDigits) token += "0123456789abcdef"[device() % 16];
  return token;
}

}  // namespace shoal
