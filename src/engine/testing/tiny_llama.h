// For tests: a small Llama with random weights, as graphs that keep the graph contract, and its
// forward pass written a second time, straightforwardly and in float64.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/stage.h"
#include "onnx/model.h"
#include "tensor/blocks.h"

namespace shoal::engine::testing {

struct TinyConfig {
  size_t layers = 2;
  size_t hidden = 12;
  size_t heads = 4;
  size_t kv_heads = 2;
  size_t head_size = 6;
  size_t rotary_pairs = 3;  // Of head_size / 2 = 3.
  bool interleaved = false;
  size_t ffn = 20;
  size_t vocabulary = 32;
  size_t positions = 24;
  float epsilon = 1e-5f;
  float scale = 0;  // 0 is 1 / sqrt(head_size).
  float softcap = 0;
  bool is_tied = false;
  DType weight_type = DType::kF32;
  // Matrices, and the embedding where `hidden` is whole blocks, in this format instead.
  std::optional<BlockFormat> blocks;
};

// Gives external data from named blobs.
class BlobSource : public WeightSource {
 public:
  Result<Bytes> Map(const onnx::ExternalData& range) override;
  void Release(const onnx::ExternalData& range) override;

  std::map<std::string, ByteVector> blobs;
  // Views that were mapped and not released.
  int views = 0;
};

class TinyLlama {
 public:
  TinyLlama(const TinyConfig& config, uint64_t seed);

  // The graph of every block, 0 to layers + 1, whose weights lie in `source`.
  const std::vector<onnx::Model>& blocks() const { return blocks_; }
  // The graph of blocks [from, to), joined.
  onnx::Model Join(size_t from, size_t to) const;
  BlobSource& source() { return source_; }
  const TinyConfig& config() const { return config_; }

  // Logits of every position [tokens, vocabulary], by attention over all tokens without a cache.
  std::vector<std::vector<double>> Reference(const std::vector<int32_t>& tokens) const;

 private:
  using Vector = std::vector<double>;

  // As a checkpoint stores it: [out, in], y = W x.
  struct Matrix {
    size_t out = 0;
    size_t in = 0;
    Vector values;
    // In TinyConfig::blocks, whose exact values `values` then are.
    ByteVector codes;
    std::vector<uint16_t> scales;

    Vector Times(const Vector& x) const;
  };
  struct Layer {
    Vector attention_norm;
    Matrix q, k, v, o;
    Vector mlp_norm;
    Matrix gate, up, down;
  };

  void MakeWeights(uint64_t seed);
  void Quantize(Matrix& matrix) const;
  Vector Turned(const Vector& heads, size_t position) const;
  Vector Attend(const Vector& q, const std::vector<Vector>& keys,
                const std::vector<Vector>& values) const;
  Vector Norm(const Vector& x, const Vector& scale) const;

  class BlockWriter;
  onnx::Model EmbeddingBlock();
  onnx::Model LayerBlock(size_t block);
  onnx::Model HeadBlock();

  TinyConfig config_;
  Matrix embedding_;  // [vocabulary, hidden]
  std::vector<Layer> layers_;
  Vector final_norm_;
  Matrix head_;  // [vocabulary, hidden]
  BlobSource source_;
  std::vector<onnx::Model> blocks_;
};

}  // namespace shoal::engine::testing
