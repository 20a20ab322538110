// The tile kernels with SIMD128, and with relaxed SIMD where the build has it: q4 in assembly
// (q4_rows_wasm.S), q8 here.
#include "engine/kernels/block_kernels_wasm.h"

#if defined(__wasm_simd128__)

#include <wasm_simd128.h>

#include <type_traits>

namespace shoal::engine {

extern "C" {
// Rows by vectors of four columns: out [rows][4 * vectors], rows `out_stride` bytes apart. `codes`
// and `scales` are of the first column; `row` is the first row, others follow row_stride bytes
// apart.
using Q4Rows = void(const uint8_t* codes, const uint16_t* scales, const void* row,
                    size_t row_stride, size_t blocks, size_t block_bytes, float* out,
                    size_t out_stride);
#if defined(__wasm_relaxed_simd__)
Q4Rows ShoalQ4Dot1, ShoalQ4Dot2, ShoalQ4Dot4, ShoalQ4DotAdd1, ShoalQ4DotAdd2, ShoalQ4DotAdd4;
#else
Q4Rows ShoalQ4Plain1, ShoalQ4Plain2, ShoalQ4Plain4;
#endif
}

namespace {

#include "engine/kernels/block_kernels.inc"

// Read anew for every tile, so that they stay in registers: V8 makes a constant that it knows with
// three instructions, wherever it is used.
alignas(16) volatile int32_t opaque_constants[][4] = {
    {0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f},  // The low nibbles.
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

  const v128_t scale_bits = Opaque(2), scale_factor = Opaque(3);
};

#if defined(__wasm_relaxed_simd__)

// The relaxed dot wants one operand in seven bits: nibbles are, so that its result is defined
// everywhere. Sums of eight pairs stay under 8 * 2 * 15 * 127 = 30,480, in 16 bits; those that
// start at -8 times the codes may wrap on the way and are right in the end, for (nibble - 8) * code
// stays under 16 * 8 * 127.
struct Isa : Floats {
  static constexpr size_t Vectors(BlockFormat, size_t rows) { return rows == 1 ? 4 : 4 / rows; }
  using Row = RowBlock;
  struct Q8 {
    v128_t low, high;
  };
  struct Acc8 {
    v128_t low, high;
  };

  static void Start(Acc8& acc, const RowBlock& row) {
    acc.low = wasm_i16x8_const_splat(0);
    acc.high = wasm_v128_load32_splat(row.start);
  }
  Q8 UnpackQ8(const uint8_t* codes) const {
    const v128_t v = wasm_v128_load(codes);
    return {wasm_v128_and(v, nibbles), wasm_v128_and(wasm_u16x8_shr(v, 4), nibbles)};
  }
  static void Dot(Acc8& acc, const Q8& w, const int8_t* block, size_t group) {
    const v128_t a = wasm_v128_load32_splat(block + group * 4);
    acc.low = wasm_i16x8_add(acc.low, wasm_i16x8_relaxed_dot_i8x16_i7x16(a, w.low));
    acc.high = wasm_i16x8_add(acc.high, wasm_i16x8_relaxed_dot_i8x16_i7x16(a, w.high));
  }
  I Finish(const Acc8& acc) const {
    return wasm_i32x4_add(wasm_i32x4_dot_i16x8(acc.low, ones),
                          wasm_i32x4_dot_i16x8(acc.high, wasm_i16x8_const_splat(16)));
  }

  const v128_t nibbles = Opaque(0), ones = Opaque(1);
};
static_assert(sizeof(RowBlock) == 40 && offsetof(RowBlock, scale) == 32 &&
              offsetof(RowBlock, start) == 36);

#else

// Codes are taken out of 16-bit lanes, so that none of them has to be widened.
struct Isa : Floats {
  static constexpr size_t Vectors(BlockFormat, size_t rows) { return rows == 1 ? 4 : 2; }
  using Row = WideRowBlock;
  struct Q8 {
    v128_t even, odd;
  };
  struct Acc8 {
    v128_t sums;
  };

  static void Start(Acc8& acc, const WideRowBlock& row) {
    acc.sums = wasm_i32x4_splat(16 * row.start);
  }
  static Q8 UnpackQ8(const uint8_t* codes) {
    const v128_t v = wasm_v128_load(codes);
    return {wasm_v128_and(v, wasm_i16x8_const_splat(255)), wasm_u16x8_shr(v, 8)};
  }
  static void AddPairs(Acc8& acc, v128_t codes, const int16_t* two) {
    acc.sums = wasm_i32x4_add(acc.sums, wasm_i32x4_dot_i16x8(codes, wasm_v128_load32_splat(two)));
  }
  static void Dot(Acc8& acc, const Q8& w, const int16_t* block, size_t group) {
    const int16_t* const two = block + group / 2 * 8 + group % 2 * 2;
    AddPairs(acc, w.even, two);
    AddPairs(acc, w.odd, two + 4);
  }
  static I Finish(const Acc8& acc) { return acc.sums; }
};
static_assert(sizeof(WideRowBlock) == 72 && offsetof(WideRowBlock, scale) == 64 &&
              offsetof(WideRowBlock, start) == 68);

#endif

static_assert(kTileColumns == 16 && kBlockValues == 32);

// kRows rows of a tile, by as many columns at a time as the kernel takes.
template <Q4Rows kKernel, size_t kRows, size_t kColumns>
void MultiplyQ4(const BlockMatrix& weight, size_t tile, const BlockRows& rows, size_t first_row,
                float* out, size_t out_stride) {
  for (size_t column = 0; column < kTileColumns; column += kColumns) {
    kKernel(weight.Codes(tile) + column * 4, weight.Scales(tile) + column,
            RowOf<Isa>(rows, first_row), rows.blocks() * sizeof(Isa::Row), rows.blocks(),
            weight.block_bytes(), out + column, out_stride * sizeof(float));
  }
}

template <Q4Rows kOne, Q4Rows kTwo, size_t kTwoColumns, Q4Rows kFour>
void Multiply(const BlockMatrix& weight, size_t tile, const BlockRows& rows, size_t first_row,
              size_t row_count, float* out, size_t out_stride) {
  if (weight.format() == BlockFormat::kQ8) {
    MultiplyTileRows<Isa, BlockFormat::kQ8>(weight, tile, rows, first_row, row_count, out,
                                            out_stride);
    return;
  }
  while (row_count > 0) {
    size_t done = 1;
    if (row_count >= 4) {
      done = 4;
      MultiplyQ4<kFour, 4, 8>(weight, tile, rows, first_row, out, out_stride);
    } else if (row_count >= 2) {
      done = 2;
      MultiplyQ4<kTwo, 2, kTwoColumns>(weight, tile, rows, first_row, out, out_stride);
    } else {
      MultiplyQ4<kOne, 1, 16>(weight, tile, rows, first_row, out, out_stride);
    }
    first_row += done;
    row_count -= done;
    out += done * out_stride;
  }
}

#if defined(__wasm_relaxed_simd__)
// The first is one instruction on processors with AVX-VNNI or the dot products of ARMv8.2, where
// the second takes two or four; on others five. What a browser makes of them shows only by trying.
constexpr BlockKernels kKernels[] = {
    {"wasm_relaxed_dot_add", Multiply<ShoalQ4DotAdd1, ShoalQ4DotAdd2, 16, ShoalQ4DotAdd4>},
    {"wasm_relaxed_dot", Multiply<ShoalQ4Dot1, ShoalQ4Dot2, 16, ShoalQ4Dot4>},
};
#else
constexpr BlockKernels kKernels[] = {
    {"wasm_simd128", Multiply<ShoalQ4Plain1, ShoalQ4Plain2, 8, ShoalQ4Plain4>},
};
#endif

}  // namespace

std::span<const BlockKernels> WasmBlockKernels() { return kKernels; }

}  // namespace shoal::engine

#endif
