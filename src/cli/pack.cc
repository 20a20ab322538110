// shoal pack CHECKPOINT -o PACK: makes a pack of a Hugging Face checkpoint.
// shoal pack MODEL.onnx -o PACK: makes one of an existing ONNX decoder.
// shoal pack CHECKPOINT --shapes-only: says what the pack would be, without the weights.
// shoal pack --verify PACK: reads every blob of a pack and compares its hashes.
#include "store/pack.h"

#include <cstdio>
#include <memory>
#include <string>

#include "base/str_cat.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "packer/onnx_packer.h"
#include "packer/packer.h"
#include "packer/recipe.h"
#include "packer/shapes.h"
#include "planner/plan.h"
#include "store/stage_graph.h"

namespace shoal::cli {

namespace {

constexpr uint32_t kDescribedPositions = 4096;

struct PackArguments {
  std::string checkpoint;
  std::string output;
  std::string weights;
  uint32_t context = 0;
  std::string name;
  std::string verify;

  std::string weights_or_default() const { return weights.empty() ? "f32" : weights; }

  bool force = false;
  bool shapes_only = false;
};

void PrintLine(const std::string& line) { std::fputs((line + "\n").c_str(), stdout); }

int VerifyPack(const std::string& folder) {
  const auto pack = store::Pack::Open(folder);
  if (!pack) return ReportFailure(pack.error());
  std::vector<Error> problems;
  {
    ProgressBar bar;
    problems =
        pack->Verify([&](uint64_t done, uint64_t total) { bar.Show("verifying", done, total); });
  }
  // A join of everything reads and checks every block's graph.
  if (problems.empty()) {
    const auto whole = store::JoinStage(*pack, 0, pack->manifest().block_count(), 1);
    if (!whole) problems.push_back(whole.error());
  }
  for (const Error& problem : problems) ReportFailure(problem);
  if (!problems.empty()) return kFailed;
  PrintLine(StrCat(folder, ": all ", pack->manifest().blobs.size(), " blobs are whole; id ",
                   store::Hex(pack->id())));
  return kDone;
}

int MakePack(const PackArguments& arguments) {
  const bool is_onnx = packer::IsOnnx(arguments.checkpoint);
  const std::string weights = arguments.weights_or_default();
  if (const auto recipes = packer::Recipe::List(weights); !recipes) {
    return ReportUsage(StrCat("--weights: ", recipes.error().detail));
  }
  if (is_onnx && !arguments.weights.empty()) {
    return ReportUsage("--weights: an ONNX model's weights stay as they are");
  }
  if (!is_onnx && arguments.context != 0) {
    return ReportUsage("--context: only of ONNX models; \"serve --context\" sets it otherwise");
  }
  packer::PackOptions options;
  options.checkpoint = arguments.checkpoint;
  options.pack = arguments.output;
  options.weights = is_onnx ? std::string() : weights;
  options.context = arguments.context;
  options.name = arguments.name;
  options.force = arguments.force;
  Result<packer::PackOutcome> outcome;
  {
    ProgressBar bar;
    options.progress = [&](const packer::Progress& progress) {
      bar.Show(progress.what, progress.done_bytes, progress.total_bytes);
      return true;
    };
    outcome = is_onnx ? packer::PackOnnx(options) : packer::PackCheckpoint(options);
  }
  if (!outcome) return ReportFailure(outcome.error());
  std::string line = StrCat(arguments.output, outcome->unchanged ? ": nothing to do" : ": packed");
  if (outcome->blobs_reused > 0) {
    line += StrCat(", ", outcome->blobs_reused, " blobs were done already");
  }
  PrintLine(StrCat(line, "; id ", store::Hex(outcome->id)));
  return kDone;
}

// What the pack would be, from the configuration alone.
int ShowShapes(const PackArguments& arguments) {
  const auto recipe = packer::Recipe::Named(arguments.weights_or_default());
  if (!recipe) return ReportUsage(StrCat("--weights: ", recipe.error().detail));
  const auto arch = packer::ReadShapes(arguments.checkpoint);
  if (!arch) return ReportFailure(arch.error());
  const std::string folder = std::filesystem::path(arguments.checkpoint).filename().string();
  const packer::TabRoom room{.positions = kDescribedPositions,
                             .overhead_bytes = planner::kExecutorOverheadBytes,
                             .weight_percent = planner::kWeightPercent};
  const std::string& name = arguments.name.empty() ? folder : arguments.name;
  std::fputs(packer::DescribeShapes(*arch, *recipe, name, room).c_str(), stdout);
  return kDone;
}

int RunPack(const PackArguments& arguments) {
  if (arguments.shapes_only) {
    if (arguments.checkpoint.empty() || !arguments.output.empty() || !arguments.verify.empty()) {
      return ReportUsage("pack: expected CHECKPOINT --shapes-only, and no -o or --verify");
    }
    return ShowShapes(arguments);
  }
  if (!arguments.verify.empty()) {
    if (!arguments.checkpoint.empty() || !arguments.output.empty()) {
      return ReportUsage("pack: --verify PACK takes neither a checkpoint nor -o");
    }
    return VerifyPack(arguments.verify);
  }
  if (arguments.checkpoint.empty() || arguments.output.empty()) {
    return ReportUsage("pack: expected CHECKPOINT -o PACK, or --verify PACK");
  }
  if (arguments.name.size() > 200) return ReportUsage("--name: at most 200 bytes");
  return MakePack(arguments);
}

}  // namespace

void AddPack(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("pack", "make a pack of a checkpoint, or verify one");
  const auto arguments = std::make_shared<PackArguments>();
  command->add_option("checkpoint", arguments->checkpoint,
                      "a Hugging Face model folder, a GGUF or an ONNX file");
  command->add_option("-o,--output", arguments->output, "the pack's folder");
  command->add_option(
      "--weights", arguments->weights,
      "f32 (default), f16, q8 or q4; several, such as q4,f32, for unlike volunteers");
  command->add_option("--context", arguments->context,
                      "longest context of an ONNX model's pack; default: the model's");
  command->add_option("--name", arguments->name, "of the model; default: the folder's name");
  command->add_option("--verify", arguments->verify, "compare the hashes of all blobs of a pack");
  command->add_flag("--shapes-only", arguments->shapes_only,
                    "say what the pack would be; CHECKPOINT needs its config.json alone");
  command->add_flag("--force", arguments->force, "replace what is there");
  command->callback([arguments, &exit_code] { exit_code = RunPack(*arguments); });
}

}  // namespace shoal::cli
