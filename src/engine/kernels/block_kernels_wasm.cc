// The tile kernel with SIMD128, and with relaxed SIMD where the build has it.
#include "engine/kernels/block_kernels_wasm.h"

#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#include <type_traits>

namespace shoal::engine {
namespace {

#include "engine/kernels/block_kernels.inc"

// Read anew for every tile, so that they stay in registers: V8 makes a constant that it knows with
// three instructions, wherever it is used.
alignas(16) volatile int32_t opaque_constants[][4] = {
    {0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f},  // The low nibbles.
    {0x000f000f, 0x000f000f, 0x000f000f, 0x000f000f},
    {0x00010001, 0x00010001, 0x00010001, 0x00010001},
    // All of a float's bits but those that widening fills with signs; 2^112.
    {-0x70000001, -0x70000001, -0x70000001, -0x70000001},
    {0x77800000, 0x77800000, 0x77800000, 0x77800000},
};

v128_t Opaque(size_t which) {
  const volatile int32_t(&c)[4] = opaque_constants[which];
  return wasm_i32x4_make(c[0], c[1], c[2], c[3]);
}

// What both share: four columns of floats. V8's compiler keeps the order in which it finds
// instructions, and clang, given a whole block, sorts them so that most registers are spilled: so
// groups stay in a loop.
struct Floats {
  static constexpr size_t kColumns = 4;
  static constexpr size_t kRowsMax = 4;
  static constexpr size_t kGroupsAtOnce = 1;
  using I = v128_t;
  using F = v128_t;

  static F Zero() { return wasm_f32x4_const_splat(0); }
  // Finite f16 to floats: exponent and mantissa move to their places, which leaves the exponent 112
  // too small; a product with 2^112 is exact.
  F Scales(const uint16_t* scales) const {
    const v128_t wide = wasm_i32x4_shl(wasm_i32x4_load16x4(scales), 13);
    return wasm_f32x4_mul(wasm_v128_and(wide, scale_bits), scale_factor);
  }
  static F Add(F sum, I dot, F scales, float scale) {
    const F factor = wasm_f32x4_mul(scales, wasm_f32x4_splat(scale));
    return wasm_f32x4_add(sum, wasm_f32x4_mul(wasm_f32x4_convert_i32x4(dot), factor));
  }
  static void Store(float* out, F values) { wasm_v128_store(out, values); }

  const v128_t scale_bits = Opaque(3), scale_factor = Opaque(4);
};

#if defined(__wasm_relaxed_simd__)

// The relaxed dot wants one operand in seven bits: nibbles are, so that its result is defined
// everywhere. Sums of eight pairs stay under 8 * 2 * 15 * 127 = 30,480, in 16 bits; those that
// start at -8 times the codes may wrap on the way and are right in the end, for (nibble - 8) * code
// stays under 16 * 8 * 127.
struct Isa : Floats {
  // Eight accumulators, which leave registers for the codes.
  static constexpr size_t Vectors(BlockFormat format, size_t rows) {
    const size_t vectors = (format == BlockFormat::kQ4 ? 8 : 4) / rows;
    return vectors < 4 ? vectors : 4;
  }
  struct Q4 {
    v128_t low, high;
  };
  using Q8 = Q4;
  struct Acc4 {
    v128_t sums;
  };
  struct Acc8 {
    v128_t low, high;
  };

  using Code = int8_t;
  static v128_t Start(const RowBlock& row) {
    return wasm_i16x8_mul(wasm_v128_load32_splat(row.halves), wasm_i16x8_const_splat(-8));
  }
  static void Start(Acc4& acc, const RowBlock& row) { acc.sums = Start(row); }
  static void Start(Acc8& acc, const RowBlock& row) {
    acc.low = wasm_i16x8_const_splat(0);
    acc.high = Start(row);
  }
  Q4 UnpackQ4(const uint8_t* codes) const {
    const v128_t v = wasm_v128_load(codes);
    return {wasm_v128_and(v, nibbles), wasm_v128_and(wasm_u16x8_shr(v, 4), nibbles)};
  }
  Q8 UnpackQ8(const uint8_t* codes) const { return UnpackQ4(codes); }
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
  I Finish(const Acc4& acc) const { return wasm_i32x4_dot_i16x8(acc.sums, ones); }
  I Finish(const Acc8& acc) const {
    return wasm_i32x4_add(wasm_i32x4_dot_i16x8(acc.low, ones),
                          wasm_i32x4_dot_i16x8(acc.high, wasm_i16x8_const_splat(16)));
  }

  const v128_t nibbles = Opaque(0), ones = Opaque(2);
};

constexpr BlockKernels kKernels{"wasm_relaxed_simd", MultiplyTileWith<Isa>};

#else

// Codes are taken out of 16-bit lanes, so that none of them has to be widened: a lane holds the low
// and high nibbles of two bytes, and the two lanes of a column meet in the dot. Rows come in the
// order that this makes (BlockRows::WideCodes).
struct Isa : Floats {
  static constexpr size_t Vectors(BlockFormat, size_t rows) { return rows == 1 ? 4 : 2; }
  struct Q4 {
    v128_t nibbles[4];
  };
  struct Q8 {
    v128_t even, odd;
  };
  struct Sums {
    v128_t sums;
  };
  struct Acc4 : Sums {};
  struct Acc8 : Sums {};

  using Code = int16_t;
  static void Start(Acc4& acc, const RowBlock& row) { acc.sums = wasm_i32x4_splat(-8 * row.sum()); }
  static void Start(Acc8& acc, const RowBlock& row) {
    acc.sums = wasm_i32x4_splat(-128 * row.sum());
  }
  Q4 UnpackQ4(const uint8_t* codes) const {
    const v128_t v = wasm_v128_load(codes);
    return {{wasm_v128_and(v, nibbles), wasm_v128_and(wasm_u16x8_shr(v, 4), nibbles),
             wasm_v128_and(wasm_u16x8_shr(v, 8), nibbles), wasm_u16x8_shr(v, 12)}};
  }
  static Q8 UnpackQ8(const uint8_t* codes) {
    const v128_t v = wasm_v128_load(codes);
    return {wasm_v128_and(v, wasm_i16x8_const_splat(255)), wasm_u16x8_shr(v, 8)};
  }
  static void AddPairs(Sums& acc, v128_t codes, const int16_t* two) {
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
  static I Finish(const Sums& acc) { return acc.sums; }

  const v128_t nibbles = Opaque(1);
};

constexpr BlockKernels kKernels{"wasm_simd128", MultiplyTileWith<Isa>};

#endif

}  // namespace

const BlockKernels* WasmBlockKernels() { return &kKernels; }

}  // namespace shoal::engine

#endif
