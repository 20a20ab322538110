#include <protozero/pbf_reader.hpp>

#include "base/str_cat.h"
#include "tokenizer/convert/piece_model.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary.h"

namespace shoal::tokenizer {

namespace {

constexpr size_t kMaxPieceBytes = 4096;

// Field numbers of sentencepiece_model.proto.
enum ModelField : uint32_t { kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3 };
enum PieceField : uint32_t { kPiece = 1, kScore = 2, kType = 3 };
enum TrainerField : uint32_t {
  kModelType = 3,
  kWhitespaceAsSuffix = 24,
  kByteFallback = 35,
  kBosId = 41,
  kEosId = 42
};
enum NormalizerField : uint32_t {
  kCharsmap = 2,
  kAddDummyPrefix = 3,
  kRemoveExtraWhitespaces = 4,
  kEscapeWhitespaces = 5
};

// A field of another type than it should have is skipped, as one that is not known; protozero's
// getters take the type for granted.
constexpr uint32_t Varint(uint32_t field) {
  return protozero::tag_and_type(field, protozero::pbf_wire_type::varint);
}
constexpr uint32_t Fixed32(uint32_t field) {
  return protozero::tag_and_type(field, protozero::pbf_wire_type::fixed32);
}
constexpr uint32_t Delimited(uint32_t field) {
  return protozero::tag_and_type(field, protozero::pbf_wire_type::length_delimited);
}

std::unexpected<Error> Wrong(std::string_view detail) {
  return Fail(Code::kInvalidArgument, StrCat("tokenizer.model: ", detail));
}

Result<ModelPiece> ReadPiece(protozero::pbf_reader reader) {
  ModelPiece piece;
  int32_t type = 1;
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Delimited(kPiece):
        piece.text = reader.get_string();
        break;
      case Fixed32(kScore):
        piece.score = reader.get_float();
        break;
      case Varint(kType):
        type = reader.get_enum();
        break;
      default:
        reader.skip();
    }
  }
  if (type < 1 || type > 6) return Wrong(StrCat("a piece of type ", type, "; expected 1 to 6"));
  if (piece.text.empty() || piece.text.size() > kMaxPieceBytes || !IsValidUtf8(piece.text)) {
    return Wrong("a piece is empty, too long or not UTF-8");
  }
  piece.type = static_cast<PieceType>(type);
  return piece;
}

Status ReadTrainer(protozero::pbf_reader reader, PieceModel& model) {
  int32_t algorithm = 1;
  bool as_suffix = false;
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Varint(kModelType):
        algorithm = reader.get_enum();
        break;
      case Varint(kWhitespaceAsSuffix):
        as_suffix = reader.get_bool();
        break;
      case Varint(kByteFallback):
        model.byte_fallback = reader.get_bool();
        break;
      case Varint(kBosId):
        model.bos_id = reader.get_int32();
        break;
      case Varint(kEosId):
        model.eos_id = reader.get_int32();
        break;
      default:
        reader.skip();
    }
  }
  if (algorithm != 1 && algorithm != 2) {
    return Fail(Code::kUnimplemented,
                "tokenizer.model: only unigram and BPE models of SentencePiece are supported");
  }
  if (as_suffix) {
    return Fail(Code::kUnimplemented,
                "tokenizer.model: whitespace as a suffix of words is not supported");
  }
  model.algorithm = static_cast<PieceAlgorithm>(algorithm);
  return {};
}

Status ReadNormalizer(protozero::pbf_reader reader, PieceModel& model) {
  bool escape = true;
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Delimited(kCharsmap):
        model.charsmap = reader.get_bytes();
        break;
      case Varint(kAddDummyPrefix):
        model.add_dummy_prefix = reader.get_bool();
        break;
      case Varint(kRemoveExtraWhitespaces):
        model.remove_extra_whitespaces = reader.get_bool();
        break;
      case Varint(kEscapeWhitespaces):
        escape = reader.get_bool();
        break;
      default:
        reader.skip();
    }
  }
  if (!escape) {
    return Fail(Code::kUnimplemented,
                "tokenizer.model: whitespace that is not escaped is not supported");
  }
  return {};
}

Result<PieceModel> Read(std::string_view file) {
  PieceModel model;
  model.bos_id = 1;
  model.eos_id = 2;
  protozero::pbf_reader reader(file.data(), file.size());
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case Delimited(kPieces): {
        if (model.pieces.size() >= static_cast<size_t>(kMaxTokens)) return Wrong("too many pieces");
        ASSIGN_OR_RETURN(ModelPiece piece, ReadPiece(reader.get_message()));
        model.pieces.push_back(std::move(piece));
        break;
      }
      case Delimited(kTrainerSpec):
        RETURN_IF_ERROR(ReadTrainer(reader.get_message(), model));
        break;
      case Delimited(kNormalizerSpec):
        RETURN_IF_ERROR(ReadNormalizer(reader.get_message(), model));
        break;
      default:
        reader.skip();
    }
  }
  if (model.pieces.empty()) return Wrong("no pieces: not a SentencePiece model");
  return model;
}

}  // namespace

Result<PieceModel> ParsePieceModel(std::string_view file) {
  try {
    return Read(file);
  } catch (const protozero::exception& error) {
    return Wrong(StrCat("not a SentencePiece model: ", error.what()));
  }
}

}  // namespace shoal::tokenizer
