// Errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace shoal::api {

struct ApiError {
  int status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::optional<std::string> param;  // The request's field that is wrong.
  std::optional<std::string> code;
  std::optional<uint32_t> retry_after_s;
};

// 400 for one field of the request.
ApiError InvalidParam(std::string param, std::string message);
// 404 with code model_not_found.
ApiError ModelNotFound(std::string_view model);
// What a Generator says, or a tokenizer: 400, 429, 500 or 503, the last two kinds with Retry-After.
ApiError FromError(const Error& error);

// {"error": {...}}, serialised.
std::string ErrorJson(const ApiError& error);
net::Response ErrorResponse(const ApiError& error);

// For net::ServerOptions::refusal: what the server answers by itself, in the same shape.
net::Response RefusalResponse(int status, const std::string& detail);

}  // namespace shoal::api
