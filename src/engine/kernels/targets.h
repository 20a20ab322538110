// Which instruction sets Highway compiles the float kernels for: the baseline and AVX2, natively.
// The sums run in eight lanes (sum.h), so wider registers would add nothing. Loops are left to the
// compiler's vectoriser, which may not change a float sum's order.
//
// A kernel file includes this, then hwy/foreach_target.h and hwy/highway.h.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3 | HWY_AVX3_DL)
