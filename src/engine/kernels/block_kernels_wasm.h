// The tile kernels of WebAssembly: the build says whether they use relaxed SIMD.
#pragma once

#include <span>

#include "engine/kernels/block_kernels.h"

namespace shoal::engine {

// The one that is best on most machines last.
std::span<const BlockKernels> WasmBlockKernels();

}  // namespace shoal::engine
