// The tile kernel with NEON, and with the dots that ARMv8.2 adds to it.
#include "engine/kernels/block_kernels_neon.h"

#include "engine/kernels/block_kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <hwy/base.h>
#include <sys/auxv.h>

#include <cstring>
#include <type_traits>

namespace shoal::engine {
namespace {

// What both share: four columns of floats, and codes as signed bytes. Nibbles are so already; of a
// byte's code the highest bit is turned, which takes 128 from it, and Finish gives it back: what
// Start takes off is 128 times the sum of the row's codes.
struct Floats {
  static constexpr size_t kColumns = 4;
  static constexpr size_t kRowsMax = 4;
  static constexpr size_t kGroupsAtOnce = 8;
  static constexpr size_t Vectors(BlockFormat, size_t rows) { return rows >= 4 ? 1 : 4 / rows; }
  using Row = RowBlock;
  using I = int32x4_t;
  using F = float32x4_t;
  struct Q4 {
    int8x16_t low, high;
  };
  struct Q8 {
    uint8x16_t codes;
  };

  static Q4 UnpackQ4(const uint8_t* codes) {
    const uint8x16_t v = vld1q_u8(codes);
    return {vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15))),
            vreinterpretq_s8_u8(vshrq_n_u8(v, 4))};
  }
  static Q8 UnpackQ8(const uint8_t* codes) { return {vld1q_u8(codes)}; }
  static int8x16_t Splat(const int8_t* four) {
    int32_t bits;
    std::memcpy(&bits, four, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(bits));
  }
  static F Zero() { return vdupq_n_f32(0); }
  static F Scales(const uint16_t* scales) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(scales)));
  }
  static F Add(F sum, I dot, F scales, float scale) {
    return vaddq_f32(sum, vmulq_f32(vcvtq_f32_s32(dot), vmulq_n_f32(scales, scale)));
  }
  static void Store(float* out, F values) { vst1q_f32(out, values); }
};

}  // namespace

namespace neon {

#include "engine/kernels/block_kernels.inc"

// Products of bytes in 16 bits, added in pairs to 32: the two sums of a column meet in the end.
// A code of eight bits is multiplied in nibbles, whose products stay under 2 * 15 * 127.
struct Isa : Floats {
  struct Acc4 {
    int32x4_t first, last;  // Columns 0 and 1, 2 and 3.
  };
  struct Acc8 {
    Acc4 low, high;
  };

  // In one of the two sums of every column.
  static void Start(Acc4& acc, int32_t sum) {
    acc.first = acc.last =
        vreinterpretq_s32_u64(vdupq_n_u64(static_cast<uint64_t>(static_cast<uint32_t>(sum))));
  }
  static void Start(Acc4& acc, const RowBlock& row) { Start(acc, row.whole_start()); }
  static void Start(Acc8& acc, const RowBlock& row) {
    Start(acc.low, 16 * row.whole_start());
    Start(acc.high, 0);
  }

  static void AddProducts(Acc4& acc, int8x16_t w, int8x16_t a) {
    acc.first = vpadalq_s16(acc.first, vmull_s8(vget_low_s8(w), vget_low_s8(a)));
    acc.last = vpadalq_s16(acc.last, vmull_s8(vget_high_s8(w), vget_high_s8(a)));
  }
  static void Dot(Acc4& acc, const Q4& w, const int8_t* eight) {
    AddProducts(acc, w.low, Splat(eight));
    AddProducts(acc, w.high, Splat(eight + 4));
  }
  static void Dot(Acc8& acc, const Q8& w, const int8_t* block, size_t group) {
    const int8x16_t a = Splat(block + group * 4);
    AddProducts(acc.low, vreinterpretq_s8_u8(vandq_u8(w.codes, vdupq_n_u8(15))), a);
    AddProducts(acc.high, vreinterpretq_s8_u8(vshrq_n_u8(w.codes, 4)), a);
  }
  static I Finish(const Acc4& acc) { return vpaddq_s32(acc.first, acc.last); }
  static I Finish(const Acc8& acc) {
    return vaddq_s32(Finish(acc.low), vshlq_n_s32(Finish(acc.high), 4));
  }
};

void Multiply(const BlockMatrix& weight, size_t tile, const BlockRows& rows, size_t first_row,
              size_t row_count, float* out, size_t out_stride) {
  MultiplyTileWith<Isa>(weight, tile, rows, first_row, row_count, out, out_stride);
}

}  // namespace neon
}  // namespace shoal::engine

HWY_PUSH_ATTRIBUTES("arch=armv8.2-a+dotprod")
namespace shoal::engine {
namespace neon_dot {

#include "engine/kernels/block_kernels.inc"

struct Isa : Floats {
  // Two chains, since a sum takes several cycles.
  struct Acc4 {
    int32x4_t a, b;
  };
  // Of codes less 128, and of what that leaves out.
  struct Acc8 {
    int32x4_t signed_dot, left_out;
  };

  static void Start(Acc4& acc, const RowBlock& row) {
    acc.a = vdupq_n_s32(row.whole_start());
    acc.b = vdupq_n_s32(0);
  }
  static void Start(Acc8& acc, const RowBlock& row) {
    acc.signed_dot = vdupq_n_s32(16 * row.whole_start());
    acc.left_out = vdupq_n_s32(0);
  }

  static void Dot(Acc4& acc, const Q4& w, const int8_t* eight) {
    acc.a = vdotq_s32(acc.a, w.low, Splat(eight));
    acc.b = vdotq_s32(acc.b, w.high, Splat(eight + 4));
  }
  static void Dot(Acc8& acc, const Q8& w, const int8_t* block, size_t group) {
    const int8x16_t a = Splat(block + group * 4);
    const int8x16_t codes = vreinterpretq_s8_u8(veorq_u8(w.codes, vdupq_n_u8(128)));
    acc.signed_dot = vdotq_s32(acc.signed_dot, codes, a);
    acc.left_out = vdotq_s32(acc.left_out, vdupq_n_s8(64), a);
  }
  static I Finish(const Acc4& acc) { return vaddq_s32(acc.a, acc.b); }
  static I Finish(const Acc8& acc) {
    return vaddq_s32(acc.signed_dot, vshlq_n_s32(acc.left_out, 1));
  }
};

void Multiply(const BlockMatrix& weight, size_t tile, const BlockRows& rows, size_t first_row,
              size_t row_count, float* out, size_t out_stride) {
  MultiplyTileWith<Isa>(weight, tile, rows, first_row, row_count, out, out_stride);
}

}  // namespace neon_dot
}  // namespace shoal::engine
HWY_POP_ATTRIBUTES

namespace shoal::engine {

const BlockKernels* NeonBlockKernels() {
  static constexpr BlockKernels kKernels{"neon", neon::Multiply};
  return &kKernels;
}

const BlockKernels* NeonDotBlockKernels() {
  static constexpr BlockKernels kKernels{"neon_dotprod", neon_dot::Multiply};
  constexpr unsigned long kDotProd = 1ul << 20;  // HWCAP_ASIMDDP of Linux.
  return (getauxval(AT_HWCAP) & kDotProd) != 0 ? &kKernels : nullptr;
}

}  // namespace shoal::engine

#endif
