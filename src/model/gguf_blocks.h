// The tensor types of GGUF files (ggml): plain floats, and blocks of 32 or 256 values that share
// scales (ggml-common.h and ggml-quants.c describe them).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "model/gguf.h"
#include "model/safetensors.h"

namespace shoal::model {

// A tensor as a view of the file, under its own name: F32, F16, BF16 as they are; Q4_0, Q4_1, Q5_0,
// Q5_1, Q8_0, Q4_K, Q5_K, Q6_K and MXFP4 with an encoding, of which Q4_0 and Q8_0 are coded.
// kUnimplemented names the tensor and its type; kDataLoss when the file is too short for it.
Result<TensorView> ReadGgufTensor(const GgufTensor& tensor, std::string_view where);

// The same tensor with its rows in another order. In files of LLaMA's architecture the rows of
// queries and keys are those of a rotation of neighbours; this gives the order in which the halves
// of a head turn: row j * head_size / 2 + i of a head is stored as row 2 * i + j of it. The rows
// must be whole heads. A vector's values count as rows.
TensorView UnturnHeads(TensorView tensor, uint64_t head_size);

// Matrix `index` of a stack of `shape[0]` matrices, called `name`.
Result<TensorView> ReadMatrixOfStack(const GgufTensor& stack, uint64_t index, std::string name,
                                     std::string_view where);

}  // namespace shoal::model
