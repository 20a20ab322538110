// The tile kernel, for an instruction set that a type describes. Included once per set, inside of
// what switches the compiler to it.
//
// An Isa has kColumns, vector types I (kColumns int32) and F (kColumns floats), accumulators and
//   Q4 UnpackQ4(codes), Q8 UnpackQ8(codes)   4 * kColumns bytes, one group
//   Code                                     int8_t or int16_t: which form of the rows it reads
//   void Dot(Acc4&, Q4, const Code* eight), void Dot(Acc8&, Q8, const Code* group, size_t g)
//   I Finish(Acc4), I Finish(Acc8)           the sums of code * row code
//   F Scales(const uint16_t*), F Zero(), F Add(F sum, I dot, int32 offset, F scales, float scale),
//   void Store(float*, F)

template <class Isa>
inline const typename Isa::Code* CodesOf(const BlockRows& rows, size_t row) {
  if constexpr (sizeof(typename Isa::Code) == 1) {
    return rows.Codes(row);
  } else {
    return rows.WideCodes(row);
  }
}

// kRows rows by kVectors vectors of columns at a time.
template <class Isa, BlockFormat kFormat, size_t kRows, size_t kVectors>
inline void MultiplyTile(const BlockMatrix& weight, size_t tile, const BlockRows& rows,
                         size_t first_row, float* out, size_t out_stride) {
  constexpr bool kIsQ4 = kFormat == BlockFormat::kQ4;
  constexpr size_t kGroups = kIsQ4 ? 4 : 8;
  constexpr size_t kGroupBytes = kTileColumns * 4;
  constexpr size_t kPrefetchBytes = 8192;
  constexpr int32_t kZero = kIsQ4 ? 8 : 128;
  using Acc = std::conditional_t<kIsQ4, typename Isa::Acc4, typename Isa::Acc8>;
  const size_t blocks = rows.blocks();
  const typename Isa::Code* codes[kRows];
  const float* row_scales[kRows];
  const int32_t* sums[kRows];
  for (size_t r = 0; r < kRows; ++r) {
    codes[r] = CodesOf<Isa>(rows, first_row + r);
    row_scales[r] = rows.Scales(first_row + r);
    sums[r] = rows.Sums(first_row + r);
  }
  for (size_t column = 0; column < kTileColumns; column += kVectors * Isa::kColumns) {
    const uint8_t* w = weight.Codes(tile) + column * 4;
    const uint16_t* w_scales = weight.Scales(tile) + column;
    typename Isa::F acc[kRows][kVectors];
    for (auto& row : acc) {
      for (auto& vector : row) vector = Isa::Zero();
    }
    for (size_t b = 0; b < blocks; ++b) {
      // Into the second-level cache: the hardware's own prefetches end with a page.
      for (size_t line = 0; line < kGroups; ++line) {
        __builtin_prefetch(w + kPrefetchBytes + line * kGroupBytes, 0, 2);
      }
      Acc dot[kRows][kVectors] = {};
#pragma GCC unroll 8
      for (size_t g = 0; g < kGroups; ++g) {
#pragma GCC unroll 4
        for (size_t v = 0; v < kVectors; ++v) {
          const uint8_t* at = w + g * kGroupBytes + v * Isa::kColumns * 4;
          if constexpr (kIsQ4) {
            const typename Isa::Q4 unpacked = Isa::UnpackQ4(at);
#pragma GCC unroll 8
            for (size_t r = 0; r < kRows; ++r) {
              Isa::Dot(dot[r][v], unpacked, codes[r] + b * kBlockValues + g * 8);
            }
          } else {
            const typename Isa::Q8 unpacked = Isa::UnpackQ8(at);
#pragma GCC unroll 8
            for (size_t r = 0; r < kRows; ++r) {
              Isa::Dot(dot[r][v], unpacked, codes[r] + b * kBlockValues, g);
            }
          }
        }
      }
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) {
        const typename Isa::F scales = Isa::Scales(w_scales + v * Isa::kColumns);
#pragma GCC unroll 8
        for (size_t r = 0; r < kRows; ++r) {
          acc[r][v] = Isa::Add(acc[r][v], Isa::Finish(dot[r][v]), kZero * sums[r][b], scales,
                               row_scales[r][b]);
        }
      }
      w += weight.block_bytes();
      w_scales += kTileColumns;
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) {
        Isa::Store(out + r * out_stride + column + v * Isa::kColumns, acc[r][v]);
      }
    }
  }
}

// As many rows at a time as the registers hold.
template <class Isa, BlockFormat kFormat>
inline void MultiplyTileRows(const BlockMatrix& weight, size_t tile, const BlockRows& rows,
                             size_t first_row, size_t row_count, float* out, size_t out_stride) {
  constexpr size_t kVectors = kTileColumns / Isa::kColumns;
  constexpr size_t kTwo = kVectors >= 2 ? kVectors / 2 : 1;
  constexpr size_t kFour = kVectors >= 4 ? kVectors / 4 : 1;
  while (row_count > 0) {
    size_t done = 1;
    if (Isa::kRowsMax >= 8 && row_count >= 8) {
      MultiplyTile<Isa, kFormat, Isa::kRowsMax, kFour>(weight, tile, rows, first_row, out,
                                                       out_stride);
      done = Isa::kRowsMax;
    } else if (row_count >= 4) {
      MultiplyTile<Isa, kFormat, 4, kFour>(weight, tile, rows, first_row, out, out_stride);
      done = 4;
    } else if (row_count >= 2) {
      MultiplyTile<Isa, kFormat, 2, kTwo>(weight, tile, rows, first_row, out, out_stride);
      done = 2;
    } else {
      MultiplyTile<Isa, kFormat, 1, kVectors>(weight, tile, rows, first_row, out, out_stride);
    }
    first_row += done;
    row_count -= done;
    out += done * out_stride;
  }
}

template <class Isa>
void MultiplyTileWith(const BlockMatrix& weight, size_t tile, const BlockRows& rows,
                      size_t first_row, size_t row_count, float* out, size_t out_stride) {
  if (weight.format() == BlockFormat::kQ4) {
    MultiplyTileRows<Isa, BlockFormat::kQ4>(weight, tile, rows, first_row, row_count, out,
                                            out_stride);
  } else {
    MultiplyTileRows<Isa, BlockFormat::kQ8>(weight, tile, rows, first_row, row_count, out,
                                            out_stride);
  }
}
