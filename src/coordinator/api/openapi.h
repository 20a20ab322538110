// The OpenAPI 3.1 document of what the server answers: openapi.json beside this file, compiled in.
// web/e2e/openapi_test.ts holds it against the server.
#pragma once

#include <string_view>

namespace shoal::api {

std::string_view OpenApiDocument();

}  // namespace shoal::api
