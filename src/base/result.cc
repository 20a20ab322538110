#include "base/result.h"

namespace shoal {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "invalid_argument";
    case Code::kNotFound:
      return "not_found";
    case Code::kAlreadyExists:
      return "already_exists";
    case Code::kFailedPrecondition:
      return "failed_precondition";
    case Code::kOutOfRange:
      return "out_of_range";
    case Code::kUnimplemented:
      return "unimplemented";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kDeadlineExceeded:
      return "deadline_exceeded";
    case Code::kResourceExhausted:
      return "resource_exhausted";
    case Code::kDataLoss:
      return "data_loss";
    case Code::kStaleEpoch:
      return "stale_epoch";
    case Code::kPermissionDenied:
      return "permission_denied";
    case Code::kCancelled:
      return "cancelled";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

bool IsValidCode(uint8_t value) { return value >= 1 && value <= 14; }

std::string Error::ToString() const { return std::string(CodeName(code)) + ": " + detail; }

std::unexpected<Error> FailWithContext(Error error, std::string_view context) {
  return Fail(error.code, std::string(context) + ": " + error.detail);
}

}  // namespace shoal
