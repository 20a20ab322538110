// The safetensors format (huggingface/safetensors, format version 0.x): a little-endian u64 length,
// that many bytes of JSON naming each tensor's dtype, shape and byte range, then the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/encoding.h"
#include "tensor/dtype.h"

namespace shoal::model {

// Shape and bytes of a tensor; `data` is a view of the file's mapping, of any alignment. Where the
// values do not lie there as they are, `encoding` reads them, `type` is what they are read as (f32)
// and `data` is a part of what is stored.
struct TensorView {
  std::string name;
  DType type = DType::kF32;
  std::vector<uint64_t> shape;
  Bytes data;
  std::shared_ptr<const Encoding> encoding;
};

// "[2048, 8192]"
std::string ShowShape(const std::vector<uint64_t>& shape);

// Parses the whole content of a safetensors file, without touching the tensors' bytes. Everything
// is checked: the header's length (at most 32 MiB), names that occur twice, dtypes, shapes against
// byte ranges, and that the ranges fill the file exactly, neither overlapping nor leaving gaps.
// `where` names the file in errors. Tensors are in the order of their bytes.
Result<std::vector<TensorView>> ParseSafetensors(Bytes file, std::string_view where);

}  // namespace shoal::model
