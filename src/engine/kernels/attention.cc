#include "engine/kernels/attention.h"

#include <algorithm>

#include "engine/kernels/math.h"
#include "engine/kernels/softmax_row.h"
#include "engine/kernels/sum.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/attention.cc"
#include "engine/kernels/targets.h"
// After targets.h:
#include <hwy/foreach_target.h>
// After foreach_target.h:
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace shoal::engine {
namespace HWY_NAMESPACE {
namespace {

// Elements of a head whose sums are held in registers while the values stream by.
constexpr size_t kChunk = 32;

void Rotate(const AttentionShape& shape, const float* cos, const float* sin, size_t count,
            float* heads) {
  const size_t step = shape.interleaved ? 2 : 1;
  const size_t partner = shape.interleaved ? 1 : shape.rotary_pairs;
  for (size_t h = 0; h < count; ++h) {
    float* head = heads + h * shape.head_size;
    for (size_t i = 0; i < shape.rotary_pairs; ++i) {
      float& x = head[i * step];
      float& y = head[i * step + partner];
      const float turned_x = x * cos[i] - y * sin[i];
      const float turned_y = x * sin[i] + y * cos[i];
      x = turned_x;
      y = turned_y;
    }
  }
}

// out [width] = sum over t = 0, 1, ... of scores[t] * rows[first + t][at + i], in this order.
template <size_t kWidth>
void SumValues(const float* scores, const KvRows& rows, size_t first, size_t at, size_t positions,
               size_t width, float* __restrict out) {
  float sums[kWidth] = {};
  float scratch[kWidth];
  for (size_t t = 0; t < positions; ++t) {
    const float score = scores[t];
    const float* const values = rows.Read(first + t, at, width, scratch);
    if (width == kWidth) {
      for (size_t i = 0; i < kWidth; ++i) sums[i] += score * values[i];
    } else {
      for (size_t i = 0; i < width; ++i) sums[i] += score * values[i];
    }
  }
  std::copy_n(sums, width, out);
}

template <KvFormat kFormat>
void AttendHeadsOf(const AttentionShape& shape, const float* query, KvRows keys, KvRows values,
                   size_t positions, size_t from, size_t to, float* scores, float* out) {
  // Known when this is compiled, so that the loops are those of one format.
  keys.format = kFormat;
  values.format = kFormat;
  const size_t group = shape.heads / shape.kv_heads;
  const size_t size = shape.head_size;
  size_t first = 0;
  if (shape.window > 0 && positions > shape.window) {
    first = positions - shape.window;
    positions = shape.window;
  }
  float* const row = scores + positions + 1;
  for (size_t h = from; h < to; ++h) {
    const float* const q = query + h * size;
    const size_t at = h / group * size;
    for (size_t t = 0; t < positions; ++t) {
      float score = Dot(q, keys.Read(first + t, at, size, row), size) * shape.scale;
      if (shape.softcap > 0) score = shape.softcap * Tanh(score / shape.softcap);
      scores[t] = score;
    }
    if (shape.sinks != nullptr) {
      scores[positions] = shape.sinks[h];
      SoftmaxRow(scores, positions + 1, scores);
    } else {
      SoftmaxRow(scores, positions, scores);
    }
    for (size_t i = 0; i < size; i += kChunk) {
      SumValues<kChunk>(scores, values, first, at + i, positions, std::min(kChunk, size - i),
                        out + h * size + i);
    }
  }
}

void AttendHeads(const AttentionShape& shape, const float* query, const KvRows& keys,
                 const KvRows& values, size_t positions, size_t from, size_t to, float* scores,
                 float* out) {
  switch (keys.format) {
    case KvFormat::kF32:
      return AttendHeadsOf<KvFormat::kF32>(shape, query, keys, values, positions, from, to, scores,
                                           out);
    case KvFormat::kF16:
      return AttendHeadsOf<KvFormat::kF16>(shape, query, keys, values, positions, from, to, scores,
                                           out);
    case KvFormat::kQ8:
      return AttendHeadsOf<KvFormat::kQ8>(shape, query, keys, values, positions, from, to, scores,
                                          out);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace shoal::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace shoal::engine {

HWY_EXPORT(Rotate);
void Rotate(const AttentionShape& shape, const float* cos, const float* sin, size_t count,
            float* heads) {
  HWY_DYNAMIC_DISPATCH(Rotate)(shape, cos, sin, count, heads);
}

HWY_EXPORT(AttendHeads);
void AttendHeads(const AttentionShape& shape, const float* query, const KvRows& keys,
                 const KvRows& values, size_t positions, size_t from, size_t to, float* scores,
                 float* out) {
  HWY_DYNAMIC_DISPATCH(AttendHeads)
  (shape, query, keys, values, positions, from, to, scores, out);
}

}  // namespace shoal::engine
#endif
