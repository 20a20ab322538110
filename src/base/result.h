// Result<T>: expected failures. One set of codes for C++, TypeScript and the wire's error frame.
//
//   Result<int> Parse(std::string_view text) {
//     if (text.empty()) return Fail(Code::kInvalidArgument, "empty number");
//     ...
//   }
//   ASSIGN_OR_RETURN(const int value, Parse(text));
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace shoal {

// Values are part of the wire protocol (docs/protocol.md): never renumber.
enum class Code : uint8_t {
  kInvalidArgument = 1,     // The input is wrong; the same input will be wrong again.
  kNotFound = 2,            // The named thing does not exist.
  kAlreadyExists = 3,       // Something else is in the way.
  kFailedPrecondition = 4,  // Not in a state in which this can be done.
  kOutOfRange = 5,          // Past an end: of a file, of a context window.
  kUnimplemented = 6,       // Understood, not supported.
  kUnavailable = 7,         // Not now; try again.
  kDeadlineExceeded = 8,    // Took too long.
  kResourceExhausted = 9,   // A stated limit was reached.
  kDataLoss = 10,           // Bytes are damaged or missing.
  kStaleEpoch = 11,         // Belongs to a route that has been replaced.
  kPermissionDenied = 12,   // Not allowed.
  kCancelled = 13,          // The asker went away.
  kInternal = 14,           // Our bug.
};

// The canonical lower-case name, "invalid_argument".
std::string_view CodeName(Code code);
// Whether `value` is one of the codes above.
bool IsValidCode(uint8_t value);

struct Error {
  Code code = Code::kInternal;
  // One sentence for a person: what was wrong and what would be right.
  std::string detail;

  // "invalid_argument: empty number"
  std::string ToString() const;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline std::unexpected<Error> Fail(Code code, std::string detail) {
  return std::unexpected<Error>(Error{code, std::move(detail)});
}

// The same error with "context: " put before its detail.
[[nodiscard]] std::unexpected<Error> FailWithContext(Error error, std::string_view context);

}  // namespace shoal

#define SHOAL_CONCAT_INNER(a, b) a##b
#define SHOAL_CONCAT(a, b) SHOAL_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)                                            \
  do {                                                                         \
    auto shoal_status = (expression);                                          \
    if (!shoal_status) [[unlikely]]                                            \
      return std::unexpected<::shoal::Error>(std::move(shoal_status).error()); \
  } while (false)

#define ASSIGN_OR_RETURN(declaration, expression) \
  SHOAL_ASSIGN_OR_RETURN(SHOAL_CONCAT(shoal_result_, __LINE__), declaration, expression)
#define SHOAL_ASSIGN_OR_RETURN(result, declaration, expression)        \
  auto result = (expression);                                          \
  if (!result) [[unlikely]]                                            \
    return std::unexpected<::shoal::Error>(std::move(result).error()); \
  declaration = *std::move(result)
