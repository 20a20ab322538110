#include "coordinator/api/errors.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/str_cat.h"

namespace shoal::api {
namespace {

namespace json = boost::json;

constexpr uint32_t kRetryAfterBusySeconds = 2;
constexpr uint32_t kRetryAfterUnavailableSeconds = 5;

json::value OrNull(const std::optional<std::string>& text) {
  return text ? json::value(*text) : json::value(nullptr);
}

}  // namespace

ApiError InvalidParam(std::string param, std::string message) {
  ApiError error;
  error.message = std::move(message);
  error.param = std::move(param);
  return error;
}

ApiError ModelNotFound(std::string_view model) {
  ApiError error = InvalidParam("model", StrCat("The model '", model, "' does not exist here."));
  error.status = 404;
  error.code = "model_not_found";
  return error;
}

ApiError FromError(const Error& error) {
  ApiError out;
  out.message = error.detail;
  switch (error.code) {
    case Code::kInvalidArgument:
    case Code::kUnimplemented:
      return out;
    case Code::kOutOfRange:
      out.code = "context_length_exceeded";
      return out;
    case Code::kResourceExhausted:
      out.status = 429;
      out.type = "rate_limit_error";
      out.code = "rate_limit_exceeded";
      out.retry_after_s = kRetryAfterBusySeconds;
      return out;
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
      out.status = 503;
      out.type = "server_error";
      out.code = "service_unavailable";
      out.retry_after_s = kRetryAfterUnavailableSeconds;
      return out;
    default:
      out.status = 500;
      out.type = "server_error";
      out.code = std::string(CodeName(error.code));
      return out;
  }
}

std::string ErrorJson(const ApiError& error) {
  const json::object object = {{"error",
                                {{"message", error.message},
                                 {"type", error.type},
                                 {"param", OrNull(error.param)},
                                 {"code", OrNull(error.code)}}}};
  return json::serialize(object);
}

net::Response ErrorResponse(const ApiError& error) {
  net::Response response = net::JsonResponse(error.status, ErrorJson(error));
  if (error.retry_after_s) response.headers.Set("Retry-After", StrCat(*error.retry_after_s));
  return response;
}

net::Response RefusalResponse(int status, const std::string& detail) {
  ApiError error;
  error.status = status;
  error.message = detail;
  if (status >= 500) error.type = "server_error";
  return ErrorResponse(error);
}

}  // namespace shoal::api
