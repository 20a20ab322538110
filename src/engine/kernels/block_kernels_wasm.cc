// The tile kernel with SIMD128, and with relaxed SIMD where the build has it.
#include "engine/kernels/block_kernels_wasm.h"

#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#include <type_traits>

namespace shoal::engine {
namespace {

#include "engine/kernels/block_kernels.inc"

// What both share: four columns of floats.
struct Floats {
  static constexpr size_t kColumns = 4;
  static constexpr size_t kRowsMax = 4;
  using I = v128_t;
  using F = v128_t;

  static F Zero() { return wasm_f32x4_const_splat(0); }
  // Finite f16 to floats: exponent and mantissa move to their places, which leaves the exponent 112
  // too small; a product with 2^112 is exact.
  static F Scales(const uint16_t* scales) {
    const v128_t wide = wasm_i32x4_shl(wasm_i32x4_load16x4(scales), 13);
    const v128_t bits = wasm_v128_and(wide, wasm_i32x4_const_splat(static_cast<int>(0x8fffffffu)));
    return wasm_f32x4_mul(bits, wasm_f32x4_const_splat(0x1p112f));
  }
  static F Add(F sum, I dot, int32_t offset, F scales, float scale) {
    const F exact = wasm_f32x4_convert_i32x4(wasm_i32x4_sub(dot, wasm_i32x4_splat(offset)));
    const F factor = wasm_f32x4_mul(scales, wasm_f32x4_splat(scale));
    return wasm_f32x4_add(sum, wasm_f32x4_mul(exact, factor));
  }
  static void Store(float* out, F values) { wasm_v128_store(out, values); }
};

#if defined(__wasm_relaxed_simd__)

// The relaxed dot wants one operand in seven bits: nibbles are, so that its result is defined
// everywhere. Sums of eight pairs stay under 8 * 2 * 15 * 127 = 30,480, in 16 bits.
struct Isa : Floats {
  using Code = int8_t;
  struct Q4 {
    v128_t low, high;
  };
  using Q8 = Q4;
  struct Acc4 {
    v128_t sums{};
  };
  struct Acc8 {
    v128_t low{}, high{};
  };

  static Q4 UnpackQ4(const uint8_t* codes) {
    const v128_t v = wasm_v128_load(codes);
    return {wasm_v128_and(v, wasm_i8x16_const_splat(15)), wasm_u8x16_shr(v, 4)};
  }
  static Q8 UnpackQ8(const uint8_t* codes) { return UnpackQ4(codes); }
  static void Dot(Acc4& acc, const Q4& w, const int8_t* eight) {
    acc.sums = wasm_i16x8_add(
        acc.sums, wasm_i16x8_relaxed_dot_i8x16_i7x16(wasm_v128_load32_splat(eight), w.low));
    acc.sums = wasm_i16x8_add(
        acc.sums, wasm_i16x8_relaxed_dot_i8x16_i7x16(wasm_v128_load32_splat(eight + 4), w.high));
  }
  static void Dot(Acc8& acc, const Q8& w, const int8_t* block, size_t group) {
    const v128_t a = wasm_v128_load32_splat(block + group * 4);
    acc.low = wasm_i16x8_add(acc.low, wasm_i16x8_relaxed_dot_i8x16_i7x16(a, w.low));
    acc.high = wasm_i16x8_add(acc.high, wasm_i16x8_relaxed_dot_i8x16_i7x16(a, w.high));
  }
  static I Finish(const Acc4& acc) {
    return wasm_i32x4_dot_i16x8(acc.sums, wasm_i16x8_const_splat(1));
  }
  static I Finish(const Acc8& acc) {
    return wasm_i32x4_add(wasm_i32x4_dot_i16x8(acc.low, wasm_i16x8_const_splat(1)),
                          wasm_i32x4_dot_i16x8(acc.high, wasm_i16x8_const_splat(16)));
  }
};

constexpr BlockKernels kKernels{"wasm_relaxed_simd", MultiplyTileWith<Isa>};

#else

// Codes are taken out of 16-bit lanes, so that none of them has to be widened: a lane holds the low
// and high nibbles of two bytes, and the two lanes of a column meet in the dot. Rows come in the
// order that this makes (BlockRows::WideCodes).
struct Isa : Floats {
  using Code = int16_t;
  struct Q4 {
    v128_t nibbles[4];
  };
  struct Q8 {
    v128_t even, odd;
  };
  struct Acc4 {
    v128_t sums{};
  };
  using Acc8 = Acc4;

  static Q4 UnpackQ4(const uint8_t* codes) {
    const v128_t v = wasm_v128_load(codes);
    const v128_t mask = wasm_i16x8_const_splat(15);
    return {{wasm_v128_and(v, mask), wasm_v128_and(wasm_u16x8_shr(v, 4), mask),
             wasm_v128_and(wasm_u16x8_shr(v, 8), mask), wasm_u16x8_shr(v, 12)}};
  }
  static Q8 UnpackQ8(const uint8_t* codes) {
    const v128_t v = wasm_v128_load(codes);
    return {wasm_v128_and(v, wasm_i16x8_const_splat(255)), wasm_u16x8_shr(v, 8)};
  }
  static void AddPairs(Acc4& acc, v128_t codes, const int16_t* two) {
    acc.sums = wasm_i32x4_add(acc.sums, wasm_i32x4_dot_i16x8(codes, wasm_v128_load32_splat(two)));
  }
  static void Dot(Acc4& acc, const Q4& w, const int16_t* eight) {
    for (size_t i = 0; i < 4; ++i) AddPairs(acc, w.nibbles[i], eight + 2 * i);
  }
  static void Dot(Acc8& acc, const Q8& w, const int16_t* block, size_t group) {
    const int16_t* const two = block + group / 2 * 8 + group % 2 * 2;
    AddPairs(acc, w.even, two);
    AddPairs(acc, w.odd, two + 4);
  }
  static I Finish(const Acc4& acc) { return acc.sums; }
};

constexpr BlockKernels kKernels{"wasm_simd128", MultiplyTileWith<Isa>};

#endif

}  // namespace

const BlockKernels* WasmBlockKernels() { return &kKernels; }

}  // namespace shoal::engine

#endif
