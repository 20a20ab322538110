// CHECK: programmer errors. On in every build; prints the place, the condition and a detail, then
// aborts (traps in WebAssembly). Never use it on anything that came from outside the process.
#pragma once

#include <string>

namespace shoal {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& detail);

}  // namespace shoal

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) [[unlikely]]                                         \
      ::shoal::CheckFailed(__FILE__, __LINE__, #condition, std::string()); \
  } while (false)

// CHECK with values: CHECK_MSG(a == b, StrCat("a=", a, " b=", b)).
#define CHECK_MSG(condition, detail)                                  \
  do {                                                                \
    if (!(condition)) [[unlikely]]                                    \
      ::shoal::CheckFailed(__FILE__, __LINE__, #condition, (detail)); \
  } while (false)
