#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace shoal {

void CheckFailed(const char* file, int line, const char* condition, const std::string& detail) {
  std::fputs(file, stderr);
  std::fputs(":", stderr);
  std::fputs(std::to_string(line).c_str(), stderr);
  std::fputs(": CHECK failed: ", stderr);
  std::fputs(condition, stderr);
  if (!detail.empty()) {
    std::fputs(": ", stderr);
    std::fputs(detail.c_str(), stderr);
  }
  std::fputs("\n", stderr);
  std::abort();
}

}  // namespace shoal
