// `response_format`: text, any JSON object, or JSON that fulfils a schema.
#pragma once

#include "coordinator/api/fields.h"
#include "coordinator/api/parse_request.h"

namespace shoal::api {

// Sets out.grammar. A schema that cannot be enforced exactly is refused, "strict" or not.
void ReadResponseFormat(Fields& fields, CompletionRequest& out);

}  // namespace shoal::api
