// A SentencePiece model (Kudo and Richardson, 2018): its pieces and how it prepares texts, from the
// protobuf file or from a GGUF file, as a tokenizer.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "tokenizer/convert/special_tokens.h"

namespace shoal::tokenizer {

// sentencepiece_model.proto, ModelProto.SentencePiece.Type; GGUF's token types are the same.
enum class PieceType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct ModelPiece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

enum class PieceAlgorithm : uint8_t { kUnigram = 1, kBpe = 2 };

struct PieceModel {
  std::vector<ModelPiece> pieces;  // By id.
  PieceAlgorithm algorithm = PieceAlgorithm::kUnigram;
  bool byte_fallback = false;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  std::string charsmap;  // precompiled_charsmap; empty: none.
  int32_t bos_id = -1;   // -1: none.
  int32_t eos_id = -1;
};

// A file of the protobuf format. kInvalidArgument when it is none.
Result<PieceModel> ParsePieceModel(std::string_view file);

// kUnimplemented for models with unused pieces.
Result<boost::json::object> TokenizerJsonOfPieces(const PieceModel& model,
                                                  const TokenizerConfig& config);

}  // namespace shoal::tokenizer
