// The tile kernel of WebAssembly: the build says whether it has relaxed SIMD.
#pragma once

#include "engine/kernels/block_kernels.h"

namespace shoal::engine {

const BlockKernels* WasmBlockKernels();

}  // namespace shoal::engine
