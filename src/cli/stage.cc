// shoal stage PACK A B -o DIR: the joined graph of blocks [A, B) with its weights, as a folder that
// any ONNX executor can load (docs/pack-format.md describes stage.json).
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "base/str_cat.h"
#include "cli/commands.h"
#include "model/file.h"
#include "onnx/read.h"
#include "store/blob_writer.h"
#include "store/stage_graph.h"

namespace shoal::cli {

namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::string_view kGraphFile = "model.onnx";
constexpr std::string_view kDescriptionFile = "stage.json";

struct StageArguments {
  std::string pack;
  std::string output;
  uint32_t first = 0;
  uint32_t last = 0;
  uint32_t context = 0;
  std::string activations = "f32";
  std::string weights;
};

json::array ValuesJson(const std::vector<onnx::ValueInfo>& values) {
  json::array list;
  for (const onnx::ValueInfo& value : values) {
    json::array dims;
    for (const onnx::Dim& dim : value.dims) {
      if (dim.symbol.empty()) {
        dims.emplace_back(dim.value);
      } else {
        dims.emplace_back(dim.symbol);
      }
    }
    list.push_back(json::object{{"name", value.name},
                                {"type", std::string(DTypeName(value.type))},
                                {"dims", std::move(dims)}});
  }
  return list;
}

std::string Describe(const store::Pack& pack, const store::StageGraph& stage,
                     const onnx::Model& graph) {
  json::array kv;
  for (const store::KvSlot& slot : stage.kv) {
    kv.push_back(
        json::object{{"block", slot.block}, {"heads", slot.heads}, {"head_size", slot.head_size}});
  }
  json::array weights;
  const auto add = [&](const store::Blob& blob, bool generated) {
    weights.push_back(json::object{
        {"location", store::Hex(blob.sha)}, {"bytes", blob.bytes}, {"generated", generated}});
  };
  for (const store::Blob& blob : stage.weights) add(blob, false);
  for (const store::GeneratedBlob& generated : stage.generated) add(generated.blob, true);
  return json::serialize(json::object{{"format", "shoal-stage"},
                                      {"version", 1},
                                      {"pack", store::Hex(pack.id())},
                                      {"first", stage.first},
                                      {"last", stage.last},
                                      {"positions", stage.positions},
                                      {"hidden", pack.manifest().model.hidden},
                                      {"vocab", pack.manifest().model.vocab},
                                      {"graph", std::string(kGraphFile)},
                                      {"inputs", ValuesJson(graph.graph.inputs)},
                                      {"outputs", ValuesJson(graph.graph.outputs)},
                                      {"kv", std::move(kv)},
                                      {"weights", std::move(weights)}}) +
         "\n";
}

// A hard link where the file system allows one, else a copy.
Status LinkOrCopy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::remove(to, error);
  fs::create_hard_link(from, to, error);
  if (error) fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  if (error) return Fail(Code::kUnavailable, StrCat(to.string(), ": ", error.message()));
  return {};
}

Status WriteStage(const store::Pack& pack, const store::StageGraph& stage, const fs::path& folder) {
  RETURN_IF_ERROR(VerifyStageWeights(pack, stage));
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return Fail(Code::kUnavailable, StrCat(folder.string(), ": ", error.message()));
  for (const store::Blob& blob : stage.weights) {
    RETURN_IF_ERROR(
        LinkOrCopy(store::BlobPath(pack.folder(), blob.sha), folder / store::Hex(blob.sha)));
  }
  for (const store::GeneratedBlob& generated : stage.generated) {
    RETURN_IF_ERROR(
        model::WriteFileAtomically(folder / store::Hex(generated.blob.sha), generated.bytes));
  }
  RETURN_IF_ERROR(model::WriteFileAtomically(folder / kGraphFile, stage.onnx));
  ASSIGN_OR_RETURN(const onnx::Model graph, onnx::Parse(stage.onnx));
  return model::WriteFileAtomically(folder / kDescriptionFile,
                                    AsBytes(Describe(pack, stage, graph)));
}

int RunStage(const StageArguments& arguments) {
  const auto pack = store::Pack::Open(arguments.pack);
  if (!pack) return ReportFailure(pack.error());
  const uint32_t context =
      arguments.context != 0 ? arguments.context : pack->manifest().model.positions;
  const auto weights = store::FindWeights(pack->manifest(), arguments.weights);
  if (!weights) return ReportUsage(StrCat("--weights: ", weights.error().detail));
  const auto activations =
      arguments.activations == "f16" ? store::Activations::kF16 : store::Activations::kF32;
  const auto stage =
      store::JoinStage(*pack, arguments.first, arguments.last, context, {*weights, activations});
  if (!stage) {
    if (stage.error().code == Code::kOutOfRange) return ReportUsage(stage.error().detail);
    return ReportFailure(stage.error());
  }
  const Status written = WriteStage(*pack, *stage, arguments.output);
  return written ? kDone : ReportFailure(written.error());
}

}  // namespace

void AddStage(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("stage", "write the joined graph of blocks [A, B)");
  const auto arguments = std::make_shared<StageArguments>();
  command->add_option("pack", arguments->pack, "the pack's folder")->required();
  command->add_option("first", arguments->first, "A: the first block")->required();
  command->add_option("last", arguments->last, "B: one past the last block")->required();
  command->add_option("-o,--output", arguments->output, "the folder to write")->required();
  command->add_option("--context", arguments->context,
                      "positions that the rotary tables cover; default: the model's");
  command->add_option("--weights", arguments->weights,
                      "which of the pack's, if it has several; default: the first");
  command
      ->add_option("--activations", arguments->activations,
                   "what it computes in: f32, or f16 for devices that run it")
      ->check(CLI::IsMember({"f32", "f16"}));
  command->callback([arguments, &exit_code] { exit_code = RunStage(*arguments); });
}

}  // namespace shoal::cli
