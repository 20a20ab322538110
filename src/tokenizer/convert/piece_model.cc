#include "tokenizer/convert/piece_model.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/str_cat.h"
#include "tokenizer/base64.h"

namespace shoal::tokenizer {

namespace {

using boost::json::array;
using boost::json::object;

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581 stands for a space.

object Replace(object pattern, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", std::move(pattern)}, {"content", content}};
}

// How a text is prepared: the file's table of characters, extra whitespace, and spaces escaped.
// `prefix` is whether it begins with a space of its own here.
boost::json::value NormalizerJson(const PieceModel& model, bool prefix, bool escape) {
  array steps;
  if (!model.charsmap.empty()) {
    steps.push_back({{"type", "Precompiled"},
                     {"precompiled_charsmap", EncodeBase64(model.charsmap)},
                     {"longest", true}});
  }
  if (model.remove_extra_whitespaces) {
    steps.push_back(Replace({{"Regex", "\\A +| +\\z"}}, ""));
    steps.push_back(Replace({{"Regex", " {2,}"}}, " "));
  }
  if (prefix) steps.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
  if (escape) steps.push_back(Replace({{"String", " "}}, kSpace));
  if (steps.empty()) return nullptr;
  return {{"type", "Sequence"}, {"normalizers", std::move(steps)}};
}

object DecoderJson(const PieceModel& model) {
  array steps = {
      Replace({{"String", kSpace}}, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (model.add_dummy_prefix) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", std::move(steps)}};
}

// The ranks by which pieces merge: the best score first, equal scores together; -1 for pieces that
// nothing merges to.
array RanksOf(const PieceModel& model) {
  std::vector<size_t> order(model.pieces.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, std::ranges::greater(),
                    [&](size_t id) { return model.pieces[id].score; });
  array ranks(model.pieces.size(), -1);
  int64_t rank = -1;
  float last = 0;
  for (const size_t id : order) {
    const ModelPiece& piece = model.pieces[id];
    if (piece.type != PieceType::kNormal) continue;
    if (rank < 0 || piece.score != last) ++rank;
    last = piece.score;
    ranks[id] = rank;
  }
  return ranks;
}

object BpeJson(const PieceModel& model, std::string_view unknown) {
  object vocab;
  for (size_t id = 0; id < model.pieces.size(); ++id) vocab[model.pieces[id].text] = id;
  object json = {{"type", "RankedBPE"},
                 {"fuse_unk", true},
                 {"byte_fallback", model.byte_fallback},
                 {"vocab", std::move(vocab)},
                 {"ranks", RanksOf(model)}};
  if (!unknown.empty()) json["unk_token"] = unknown;
  return json;
}

object UnigramJson(const PieceModel& model, int32_t unknown) {
  array vocab;
  for (const ModelPiece& piece : model.pieces) {
    vocab.push_back(array{piece.text, static_cast<double>(piece.score)});
  }
  object json = {
      {"type", "Unigram"}, {"byte_fallback", model.byte_fallback}, {"vocab", std::move(vocab)}};
  if (unknown >= 0) json["unk_id"] = unknown;
  return json;
}

Status CheckPieces(const PieceModel& model) {
  std::set<std::string_view> seen;
  for (const ModelPiece& piece : model.pieces) {
    if (piece.type == PieceType::kUnused) {
      return Fail(Code::kUnimplemented, StrCat("the vocabulary has unused pieces, such as \"",
                                               piece.text, "\", which are not supported"));
    }
    if (!std::isfinite(piece.score)) {
      return Fail(Code::kInvalidArgument,
                  StrCat("the score of \"", piece.text, "\" is not finite"));
    }
    if (!seen.insert(piece.text).second) {
      return Fail(Code::kInvalidArgument, StrCat("\"", piece.text, "\" is there twice"));
    }
  }
  return {};
}

// A token that begins or ends a text: the configuration's by its text, else the model's by its id.
std::optional<EndToken> FindEnd(const PieceModel& model, const std::optional<std::string>& text,
                                int32_t id) {
  if (text) {
    for (size_t i = 0; i < model.pieces.size(); ++i) {
      if (model.pieces[i].text == *text) return EndToken{*text, static_cast<int32_t>(i)};
    }
  }
  if (id < 0 || static_cast<size_t>(id) >= model.pieces.size()) return std::nullopt;
  return EndToken{model.pieces[static_cast<size_t>(id)].text, id};
}

}  // namespace

Result<object> TokenizerJsonOfPieces(const PieceModel& model, const TokenizerConfig& config) {
  RETURN_IF_ERROR(CheckPieces(model));
  std::map<int32_t, object> added;
  int32_t unknown = -1;
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const ModelPiece& piece = model.pieces[i];
    if (piece.type == PieceType::kUnknown) unknown = id;
    if (piece.type == PieceType::kUnknown || piece.type == PieceType::kControl) {
      added[id] = AddedTokenJson(id, piece.text, true);
    } else if (piece.type == PieceType::kUserDefined) {
      added[id] = AddedTokenJson(id, piece.text, false);
      // A piece with spaces (Gemma's runs of them) is found where they have been escaped. Where the
      // normalizer begins a text with a space, it would begin the piece with one, too.
      added[id]["normalized"] = !model.add_dummy_prefix && piece.text.contains(kSpace);
    }
  }
  const bool is_bpe = model.algorithm == PieceAlgorithm::kBpe;
  // Transformers' newer way of a BPE model's first space: only where the whole text begins, not
  // after every special token.
  const bool only_first = is_bpe && !config.legacy && model.add_dummy_prefix;
  const bool is_t5 = config.tokenizer_class.starts_with("T5");
  std::optional<EndToken> first, last;
  if (config.add_bos.value_or(!is_t5)) first = FindEnd(model, config.bos, model.bos_id);
  if (config.add_eos.value_or(is_t5)) last = FindEnd(model, config.eos, model.eos_id);
  object json = {
      {"version", "1.0"},
      {"added_tokens", WithConfigured(std::move(added), config)},
      {"normalizer", NormalizerJson(model, model.add_dummy_prefix && !only_first, !only_first)},
      {"pre_tokenizer", nullptr},
      {"post_processor", PostProcessorJson(first, last)},
      {"decoder", DecoderJson(model)}};
  if (only_first) {
    json["pre_tokenizer"] = {{"type", "Metaspace"},
                             {"replacement", kSpace},
                             {"prepend_scheme", "first"},
                             {"split", false}};
  }
  const std::string unknown_text =
      unknown < 0 ? "" : model.pieces[static_cast<size_t>(unknown)].text;
  json["model"] = is_bpe ? BpeJson(model, unknown_text) : UnigramJson(model, unknown);
  return json;
}

}  // namespace shoal::tokenizer
