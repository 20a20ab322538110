// The tile kernel with AVX2 and with AVX-512 VNNI.
#include "engine/kernels/block_kernels_x86.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

#include <cstring>
#include <type_traits>

#if !defined(__clang__)
// g++'s own AVX-512 header begins with values that it leaves undefined.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

HWY_PUSH_ATTRIBUTES("avx2,f16c")
namespace shoal::engine {
namespace avx2 {

#include "engine/kernels/block_kernels.inc"

// pmaddubsw multiplies unsigned codes with signed row codes and adds two products in 16 bits. With
// nibbles, eight such sums stay under 8 * 2 * 15 * 127 = 30,480; so a byte is multiplied in halves.
struct Isa {
  static constexpr size_t kColumns = 8;
  static constexpr size_t kRowsMax = 4;
  static constexpr size_t kGroupsAtOnce = 8;
  static constexpr size_t Vectors(BlockFormat, size_t rows) { return rows == 1 ? 2 : 1; }
  using Row = RowBlock;
  using I = __m256i;
  using F = __m256;
  struct Q4 {
    __m256i low, high;
  };
  using Q8 = Q4;
  struct Acc4 {
    __m256i sums;  // 16 bits each.
  };
  struct Acc8 {
    __m256i low, high;
  };

  // Less 8 times the codes: sums of halves stay in 16 bits, for (nibble - 8) * code does.
  static __m256i Start(const RowBlock& row) {
    int32_t halves;
    std::memcpy(&halves, row.start, sizeof halves);
    return _mm256_set1_epi32(halves);
  }
  static void Start(Acc4& acc, const RowBlock& row) { acc.sums = Start(row); }
  static void Start(Acc8& acc, const RowBlock& row) {
    acc.low = _mm256_setzero_si256();
    acc.high = Start(row);
  }

  static Q4 UnpackQ4(const uint8_t* codes) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
    const __m256i mask = _mm256_set1_epi8(15);
    return {_mm256_and_si256(v, mask), _mm256_and_si256(_mm256_srli_epi16(v, 4), mask)};
  }
  static Q8 UnpackQ8(const uint8_t* codes) { return UnpackQ4(codes); }
  static __m256i Splat(const int8_t* four) {
    int32_t bits;
    std::memcpy(&bits, four, 4);
    return _mm256_set1_epi32(bits);
  }
  static void Dot(Acc4& acc, const Q4& w, const int8_t* eight) {
    acc.sums = _mm256_add_epi16(acc.sums, _mm256_maddubs_epi16(w.low, Splat(eight)));
    acc.sums = _mm256_add_epi16(acc.sums, _mm256_maddubs_epi16(w.high, Splat(eight + 4)));
  }
  static void Dot(Acc8& acc, const Q8& w, const int8_t* block, size_t group) {
    const __m256i a = Splat(block + group * 4);
    acc.low = _mm256_add_epi16(acc.low, _mm256_maddubs_epi16(w.low, a));
    acc.high = _mm256_add_epi16(acc.high, _mm256_maddubs_epi16(w.high, a));
  }
  static I Finish(const Acc4& acc) { return _mm256_madd_epi16(acc.sums, _mm256_set1_epi16(1)); }
  static I Finish(const Acc8& acc) {
    return _mm256_add_epi32(_mm256_madd_epi16(acc.low, _mm256_set1_epi16(1)),
                            _mm256_madd_epi16(acc.high, _mm256_set1_epi16(16)));
  }
  static F Zero() { return _mm256_setzero_ps(); }
  static F Scales(const uint16_t* scales) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales)));
  }
  static F Add(F sum, I dot, F scales, float scale) {
    const F factor = _mm256_mul_ps(scales, _mm256_set1_ps(scale));
    return _mm256_add_ps(sum, _mm256_mul_ps(_mm256_cvtepi32_ps(dot), factor));
  }
  static void Store(float* out, F values) { _mm256_storeu_ps(out, values); }
};

void Multiply(const BlockMatrix& weight, size_t tile, const BlockRows& rows, size_t first_row,
              size_t row_count, float* out, size_t out_stride) {
  MultiplyTileWith<Isa>(weight, tile, rows, first_row, row_count, out, out_stride);
}

}  // namespace avx2
}  // namespace shoal::engine
HWY_POP_ATTRIBUTES

HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,f16c")
namespace shoal::engine {
namespace avx512 {

#include "engine/kernels/block_kernels.inc"

// vpdpbusd adds four products of unsigned and signed bytes to 32 bits, exactly.
struct Isa {
  static constexpr size_t kColumns = 16;
  static constexpr size_t kRowsMax = 8;
  static constexpr size_t kGroupsAtOnce = 8;
  static constexpr size_t Vectors(BlockFormat, size_t) { return 1; }
  using Row = RowBlock;
  using I = __m512i;
  using F = __m512;
  struct Q4 {
    __m512i low, high;
  };
  struct Q8 {
    __m512i codes;
  };
  // Two chains, since a sum takes four cycles.
  struct Sums {
    __m512i a, b;
  };
  struct Acc4 : Sums {};
  struct Acc8 : Sums {};

  static void Start(Sums& acc, int32_t sum) {
    acc.a = _mm512_set1_epi32(sum);
    acc.b = _mm512_setzero_si512();
  }
  static void Start(Acc4& acc, const RowBlock& row) { Start(acc, row.whole_start()); }
  static void Start(Acc8& acc, const RowBlock& row) { Start(acc, 16 * row.whole_start()); }

  static Q4 UnpackQ4(const uint8_t* codes) {
    const __m512i v = _mm512_loadu_si512(codes);
    const __m512i mask = _mm512_set1_epi8(15);
    return {_mm512_and_si512(v, mask), _mm512_and_si512(_mm512_srli_epi16(v, 4), mask)};
  }
  static Q8 UnpackQ8(const uint8_t* codes) { return {_mm512_loadu_si512(codes)}; }
  static __m512i Splat(const int8_t* four) {
    int32_t bits;
    std::memcpy(&bits, four, 4);
    return _mm512_set1_epi32(bits);
  }
  static void Dot(Acc4& acc, const Q4& w, const int8_t* eight) {
    acc.a = _mm512_dpbusd_epi32(acc.a, w.low, Splat(eight));
    acc.b = _mm512_dpbusd_epi32(acc.b, w.high, Splat(eight + 4));
  }
  static void Dot(Acc8& acc, const Q8& w, const int8_t* block, size_t group) {
    __m512i& sums = group % 2 == 0 ? acc.a : acc.b;
    sums = _mm512_dpbusd_epi32(sums, w.codes, Splat(block + group * 4));
  }
  static I Finish(const Sums& acc) { return _mm512_add_epi32(acc.a, acc.b); }
  static F Zero() { return _mm512_setzero_ps(); }
  static F Scales(const uint16_t* scales) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales)));
  }
  static F Add(F sum, I dot, F scales, float scale) {
    const F factor = _mm512_mul_ps(scales, _mm512_set1_ps(scale));
    return _mm512_add_ps(sum, _mm512_mul_ps(_mm512_cvtepi32_ps(dot), factor));
  }
  static void Store(float* out, F values) { _mm512_storeu_ps(out, values); }
};

void Multiply(const BlockMatrix& weight, size_t tile, const BlockRows& rows, size_t first_row,
              size_t row_count, float* out, size_t out_stride) {
  MultiplyTileWith<Isa>(weight, tile, rows, first_row, row_count, out, out_stride);
}

}  // namespace avx512
}  // namespace shoal::engine
HWY_POP_ATTRIBUTES

namespace shoal::engine {

const BlockKernels* Avx2BlockKernels() {
  static constexpr BlockKernels kKernels{"avx2", avx2::Multiply};
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") ? &kKernels : nullptr;
}

const BlockKernels* Avx512BlockKernels() {
  static constexpr BlockKernels kKernels{"avx512_vnni", avx512::Multiply};
  return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
             ? &kKernels
             : nullptr;
}

}  // namespace shoal::engine

#endif
