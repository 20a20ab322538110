// How the reader, Check and Join put their errors.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "base/str_cat.h"
#include "onnx/model.h"

namespace shoal::onnx::internal {

inline std::unexpected<Error> Invalid(std::string detail) {
  return Fail(Code::kInvalidArgument, std::move(detail));
}

// "node 7 \"block.1.attn.q\" (MatMul)"
inline std::string Describe(const Node& node, size_t index) {
  return StrCat("node ", index, " \"", node.name, "\" (", node.op_type, ")");
}

}  // namespace shoal::onnx::internal
