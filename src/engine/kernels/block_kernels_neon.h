// Products with q4 and q8 weights on 64-bit ARM.
#pragma once

namespace shoal::engine {

struct BlockKernels;

// NEON as every 64-bit ARM has it.
const BlockKernels* NeonBlockKernels();
// With the dots of ARMv8.2; null where the processor lacks them.
const BlockKernels* NeonDotBlockKernels();

}  // namespace shoal::engine
