// The tile kernels of x86-64; null where the processor lacks the instructions.
#pragma once

#include "engine/kernels/block_kernels.h"

namespace shoal::engine {

const BlockKernels* Avx2BlockKernels();
const BlockKernels* Avx512BlockKernels();

}  // namespace shoal::engine
