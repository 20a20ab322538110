#include "model/gguf.h"

#include <boost/json/serialize.hpp>
#include <optional>

#include "base/str_cat.h"
#include "tokenizer/convert/convert.h"
#include "tokenizer/convert/divisions.h"
#include "tokenizer/convert/piece_model.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer {

namespace {

using boost::json::array;
using boost::json::object;

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";

Result<bool> BoolOr(const model::Gguf& gguf, std::string_view key, bool otherwise) {
  if (!gguf.Has(key)) return otherwise;
  return gguf.Bool(key);
}

Result<int32_t> IdOr(const model::Gguf& gguf, std::string_view key, int32_t otherwise) {
  if (!gguf.Has(key)) return otherwise;
  ASSIGN_OR_RETURN(const uint64_t id, gguf.Uint(key, 0, kMaxTokens - 1));
  return static_cast<int32_t>(id);
}

std::unexpected<Error> Wrong(const model::Gguf& gguf, std::string_view key,
                             std::string_view detail) {
  return Fail(Code::kInvalidArgument, StrCat(gguf.where(), ": ", key, ": ", detail));
}

Result<std::vector<ModelPiece>> ReadPieces(const model::Gguf& gguf) {
  ASSIGN_OR_RETURN(const std::vector<std::string_view> tokens, gguf.Texts(kTokens));
  if (tokens.size() > static_cast<size_t>(kMaxTokens)) return Wrong(gguf, kTokens, "too many");
  std::vector<double> scores(tokens.size()), types(tokens.size(), 1);
  if (gguf.Has("tokenizer.ggml.scores")) {
    ASSIGN_OR_RETURN(scores, gguf.Numbers("tokenizer.ggml.scores"));
  }
  if (gguf.Has("tokenizer.ggml.token_type")) {
    ASSIGN_OR_RETURN(types, gguf.Numbers("tokenizer.ggml.token_type"));
  }
  if (scores.size() != tokens.size() || types.size() != tokens.size()) {
    return Wrong(gguf, kTokens, "as many scores and types as tokens are expected");
  }
  std::vector<ModelPiece> pieces;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] < 1 || types[id] > 6) {
      return Wrong(gguf, "tokenizer.ggml.token_type", StrCat("expected 1 to 6 for token ", id));
    }
    pieces.push_back({std::string(tokens[id]), static_cast<float>(scores[id]),
                      static_cast<PieceType>(static_cast<int>(types[id]))});
  }
  return pieces;
}

Result<TokenizerConfig> ConfigOf(const model::Gguf& gguf, bool add_bos) {
  TokenizerConfig config;
  ASSIGN_OR_RETURN(config.add_bos, BoolOr(gguf, "tokenizer.ggml.add_bos_token", add_bos));
  ASSIGN_OR_RETURN(config.add_eos, BoolOr(gguf, "tokenizer.ggml.add_eos_token", false));
  return config;
}

Result<object> OfPieces(const model::Gguf& gguf, PieceAlgorithm algorithm) {
  PieceModel pieces;
  pieces.algorithm = algorithm;
  ASSIGN_OR_RETURN(pieces.pieces, ReadPieces(gguf));
  for (const ModelPiece& piece : pieces.pieces) {
    pieces.byte_fallback |= piece.type == PieceType::kByte;
  }
  ASSIGN_OR_RETURN(pieces.add_dummy_prefix, BoolOr(gguf, "tokenizer.ggml.add_space_prefix", true));
  ASSIGN_OR_RETURN(pieces.remove_extra_whitespaces,
                   BoolOr(gguf, "tokenizer.ggml.remove_extra_whitespaces", false));
  if (gguf.Has("tokenizer.ggml.precompiled_charsmap")) {
    ASSIGN_OR_RETURN(const auto bytes, gguf.Numbers("tokenizer.ggml.precompiled_charsmap"));
    for (const double byte : bytes) {
      if (!(byte >= -128 && byte <= 255)) {
        return Wrong(gguf, "tokenizer.ggml.precompiled_charsmap", "expected bytes");
      }
      pieces.charsmap += static_cast<char>(static_cast<uint8_t>(static_cast<int>(byte)));
    }
  }
  ASSIGN_OR_RETURN(pieces.bos_id, IdOr(gguf, "tokenizer.ggml.bos_token_id", -1));
  ASSIGN_OR_RETURN(pieces.eos_id, IdOr(gguf, "tokenizer.ggml.eos_token_id", -1));
  ASSIGN_OR_RETURN(const TokenizerConfig config, ConfigOf(gguf, true));
  return TokenizerJsonOfPieces(pieces, config);
}

// The token of that key, if texts are to have it.
Result<std::optional<EndToken>> FindEnd(const model::Gguf& gguf, std::string_view key, bool wanted,
                                        const std::vector<ModelPiece>& pieces) {
  ASSIGN_OR_RETURN(const int32_t id, IdOr(gguf, key, -1));
  if (!wanted || id < 0) return std::nullopt;
  if (static_cast<size_t>(id) >= pieces.size()) return Wrong(gguf, key, "there is no such token");
  return EndToken{pieces[static_cast<size_t>(id)].text, id};
}

Result<object> OfByteLevel(const model::Gguf& gguf) {
  std::string_view division = "default";
  if (gguf.Has("tokenizer.ggml.pre")) {
    ASSIGN_OR_RETURN(division, gguf.Text("tokenizer.ggml.pre"));
  }
  std::optional<boost::json::value> pre_tokenizer = DivisionJson(division);
  if (!pre_tokenizer) {
    return Fail(Code::kUnimplemented, StrCat(gguf.where(), ": tokenizer.ggml.pre: \"",
                                             division.substr(0, 80), "\" is not supported"));
  }
  ASSIGN_OR_RETURN(const std::vector<ModelPiece> pieces, ReadPieces(gguf));
  ASSIGN_OR_RETURN(const auto merges, gguf.Texts("tokenizer.ggml.merges"));
  object vocab;
  std::map<int32_t, object> added;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const ModelPiece& piece = pieces[i];
    const auto id = static_cast<int32_t>(i);
    if (piece.type == PieceType::kNormal || piece.type == PieceType::kUnused) {
      vocab[piece.text] = id;
    } else {
      added[id] = AddedTokenJson(id, piece.text, piece.type != PieceType::kUserDefined);
    }
  }
  const bool starts = division == "llama-bpe" || division == "tekken";
  ASSIGN_OR_RETURN(const TokenizerConfig config, ConfigOf(gguf, starts));
  ASSIGN_OR_RETURN(const auto first,
                   FindEnd(gguf, "tokenizer.ggml.bos_token_id", *config.add_bos, pieces));
  ASSIGN_OR_RETURN(const auto last,
                   FindEnd(gguf, "tokenizer.ggml.eos_token_id", *config.add_eos, pieces));
  const bool whole_words = division == "llama-bpe" || division == "tekken";
  return object{{"version", "1.0"},
                {"added_tokens", WithConfigured(std::move(added), config)},
                {"normalizer", nullptr},
                {"pre_tokenizer", *std::move(pre_tokenizer)},
                {"post_processor", PostProcessorJson(first, last)},
                {"decoder", {{"type", "ByteLevel"}}},
                {"model",
                 {{"type", "BPE"},
                  {"ignore_merges", whole_words},
                  {"vocab", std::move(vocab)},
                  {"merges", array(merges.begin(), merges.end())}}}};
}

}  // namespace

Result<std::string> TokenizerJsonOfGguf(const model::Gguf& gguf) {
  ASSIGN_OR_RETURN(const std::string_view kind, gguf.Text("tokenizer.ggml.model"));
  object json;
  if (kind == "llama") {
    ASSIGN_OR_RETURN(json, OfPieces(gguf, PieceAlgorithm::kBpe));
  } else if (kind == "t5") {
    ASSIGN_OR_RETURN(json, OfPieces(gguf, PieceAlgorithm::kUnigram));
  } else if (kind == "gpt2") {
    ASSIGN_OR_RETURN(json, OfByteLevel(gguf));
  } else {
    return Fail(Code::kUnimplemented,
                StrCat(gguf.where(), ": tokenizer.ggml.model: \"", kind.substr(0, 80),
                       "\" is not supported; llama, gpt2 and t5 are"));
  }
  return boost::json::serialize(json);
}

Result<std::string> TokenizerConfigOfGguf(const model::Gguf& gguf) {
  object config;
  ASSIGN_OR_RETURN(const std::vector<std::string_view> tokens, gguf.Texts(kTokens));
  for (const char* name : {"bos", "eos", "unknown", "padding"}) {
    ASSIGN_OR_RETURN(const int32_t id,
                     IdOr(gguf, StrCat("tokenizer.ggml.", name, "_token_id"), -1));
    if (id < 0 || static_cast<size_t>(id) >= tokens.size()) continue;
    const std::string_view field = name == std::string_view("unknown")   ? "unk"
                                   : name == std::string_view("padding") ? "pad"
                                                                         : name;
    config[StrCat(field, "_token")] = tokens[static_cast<size_t>(id)];
  }
  if (gguf.Has("tokenizer.chat_template")) {
    ASSIGN_OR_RETURN(config["chat_template"], gguf.Text("tokenizer.chat_template"));
  }
  return boost::json::serialize(config);
}

}  // namespace shoal::tokenizer
