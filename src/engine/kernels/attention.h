// Grouped-query attention over a cache (Ainslie et al., arXiv:2305.13245) with rotary positions
// (Su et al., arXiv:2104.09864), one row at a time.
#pragma once

#include <cstddef>

#include "engine/kernels/kv_rows.h"

namespace shoal::engine {

struct AttentionShape {
  size_t heads = 0;     // Of the queries; a multiple of kv_heads.
  size_t kv_heads = 0;  // Query head h reads key-value head h / (heads / kv_heads).
  size_t head_size = 0;
  // Pairs of elements of a head that turn; 0 for none, head_size / 2 for all.
  size_t rotary_pairs = 0;
  // Pairs are (2i, 2i + 1) if interleaved, else (i, i + rotary_pairs).
  bool interleaved = false;
  float scale = 1.0f;    // Scores are multiplied by it.
  float softcap = 0.0f;  // If > 0, scores become softcap * tanh(score / softcap).
  // If > 0, only the last so many positions are attended to.
  size_t window = 0;
  // If not null, for each query head one more score that takes part in the softmax.
  const float* sinks = nullptr;

  size_t QueryWidth() const { return heads * head_size; }
  size_t KvWidth() const { return kv_heads * head_size; }
};

// Turns `count` heads [count, head_size] in place. cos and sin: [rotary_pairs], of one position.
void Rotate(const AttentionShape& shape, const float* cos, const float* sin, size_t count,
            float* heads);

// For the query heads [from, to): out [heads, head_size] = softmax(scale * query * keys^T) * values
// over the first `positions` rows of keys and values [positions, kv_heads, head_size]. query:
// [heads, head_size], already turned. scores: scratch [AttentionScratch(shape, positions)]. `out`
// may be `query`.
void AttendHeads(const AttentionShape& shape, const float* query, const KvRows& keys,
                 const KvRows& values, size_t positions, size_t from, size_t to, float* scores,
                 float* out);

// Floats: scores, a sink's, and a row of one head.
inline size_t AttentionScratch(const AttentionShape& shape, size_t positions) {
  return positions + 1 + shape.head_size;
}

}  // namespace shoal::engine
