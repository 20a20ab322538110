#include "engine/kernels/attention.h"

#include <algorithm>

#include "engine/kernels/math.h"
#include "engine/kernels/softmax.h"
#include "engine/kernels/sum.h"

namespace shoal::engine {

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

void AttendRow(const AttentionShape& shape, const float* query, const float* keys,
               const float* values, size_t positions, float* scores, float* out) {
  const size_t group = shape.heads / shape.kv_heads;
  const size_t kv_width = shape.KvWidth();
  for (size_t h = 0; h < shape.heads; ++h) {
    const float* q = query + h * shape.head_size;
    const size_t kv_offset = h / group * shape.head_size;
    for (size_t t = 0; t < positions; ++t) {
      float score = Dot(q, keys + t * kv_width + kv_offset, shape.head_size) * shape.scale;
      if (shape.softcap > 0) score = shape.softcap * Tanh(score / shape.softcap);
      scores[t] = score;
    }
    Softmax(scores, 1, positions, scores);
    float* __restrict sum = out + h * shape.head_size;
    std::fill_n(sum, shape.head_size, 0.0f);
    for (size_t t = 0; t < positions; ++t) {
      const float* v = values + t * kv_width + kv_offset;
      for (size_t i = 0; i < shape.head_size; ++i) sum[i] += scores[t] * v[i];
    }
  }
}

}  // namespace shoal::engine
