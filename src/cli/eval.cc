// shoal eval PACK --ids 5,17,...: runs a pack in this process, cut into stages as asked, with
// hidden states through the wire codec between them.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/str_cat.h"
#include "cli/commands.h"
#include "cli/lending.h"
#include "cli/local_route.h"
#include "cli/npy.h"
#include "cli/numbers.h"
#include "model/file.h"
#include "store/pack.h"

namespace shoal::cli {

namespace {

struct EvalArguments {
  std::string pack;
  std::string ids;
  std::string cuts;
  std::string executor = "shoal";
  std::string hop = "f32";
  std::string kv = "f32";
  std::string logits;
  uint32_t greedy = 0;
  uint32_t expert_holders = 0;
  bool exact = false;
  std::string weights;
};

Status WriteLogits(LocalRoute& route, std::span<const int32_t> ids, const std::string& path) {
  RETURN_IF_ERROR(route.Reset());
  ASSIGN_OR_RETURN(const std::vector<float> logits, route.Feed(ids, ids.size()));
  return model::WriteFileAtomically(path, SerializeNpy(logits, ids.size(), route.vocab()));
}

Status PrintGreedy(LocalRoute& route, std::span<const int32_t> ids, uint32_t count) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, route.Greedy(ids, count));
  std::string line;
  for (const int32_t token : tokens) line += StrCat(line.empty() ? "" : ",", token);
  std::fputs((line + "\n").c_str(), stdout);
  return {};
}

int RunEval(const EvalArguments& arguments) {
  if (arguments.executor != "shoal") {
    return ReportUsage(StrCat("--executor: \"", arguments.executor, "\" is unknown; use shoal"));
  }
  if (arguments.hop != "f32" && arguments.hop != "f16") {
    return ReportUsage(StrCat("--hop: \"", arguments.hop, "\" is unknown; use f32 or f16"));
  }
  if (arguments.logits.empty() && arguments.greedy == 0) {
    return ReportUsage("eval: expected --logits FILE, --greedy N, or both");
  }
  const auto kv = ParseKvFormat(arguments.kv);
  if (!kv) return ReportUsage(kv.error().detail);
  const auto pack = store::Pack::Open(arguments.pack);
  if (!pack) return ReportFailure(pack.error());
  const store::ModelFacts& model = pack->manifest().model;
  const auto ids = ParseNumbers(arguments.ids, model.vocab - 1);
  if (!ids) return ReportUsage(StrCat("--ids: ", ids.error().detail));
  if (ids->empty()) return ReportUsage("--ids: expected at least one id");
  const auto cuts = ParseNumbers(arguments.cuts, UINT32_MAX);
  if (!cuts) return ReportUsage(StrCat("--cuts: ", cuts.error().detail));
  if (const Status fits = CheckCuts(*cuts, pack->manifest().block_count()); !fits) {
    return ReportUsage(StrCat("--cuts: ", fits.error().detail));
  }
  const auto weights = store::FindWeightSets(pack->manifest(), arguments.weights);
  if (!weights) return ReportUsage(StrCat("--weights: ", weights.error().detail));
  // The last token that is decoded is not fed again.
  const uint64_t positions = ids->size() + (arguments.greedy > 0 ? arguments.greedy - 1 : 0);
  if (positions > model.positions) {
    return ReportUsage(
        StrCat("eval: ", positions, " positions; the model's context has ", model.positions));
  }

  const auto hop = arguments.hop == "f16" ? wire::PayloadType::kF16 : wire::PayloadType::kF32;
  auto route = LocalRoute::Load(*pack, *cuts,
                                {.hop = hop,
                                 .exact = arguments.exact,
                                 .kv_format = *kv,
                                 .weights = *weights,
                                 .expert_holders = arguments.expert_holders},
                                static_cast<uint32_t>(positions));
  if (!route) return ReportFailure(route.error());
  const std::vector<int32_t> tokens(ids->begin(), ids->end());
  if (!arguments.logits.empty()) {
    const Status status = WriteLogits(*route, tokens, arguments.logits);
    if (!status) return ReportFailure(status.error());
  }
  if (arguments.greedy > 0) {
    const Status status = PrintGreedy(*route, tokens, arguments.greedy);
    if (!status) return ReportFailure(status.error());
  }
  return kDone;
}

}  // namespace

void AddEval(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("eval", "run a pack in this process");
  const auto arguments = std::make_shared<EvalArguments>();
  command->add_option("pack", arguments->pack, "the pack's folder")->required();
  command->add_option("--ids", arguments->ids, "token ids, separated by commas")->required();
  command->add_option("--cuts", arguments->cuts, "a,b: stages [0,a) [a,b) [b,end)");
  command->add_option("--executor", arguments->executor, "shoal (default)");
  command->add_option("--hop", arguments->hop, "hidden states between stages: f32 (default), f16");
  command->add_option("--experts", arguments->expert_holders,
                      "divide every layer's experts over this many pretend volunteers");
  command->add_option("--kv", arguments->kv, "keys and values: f32 (default), f16, q8");
  command->add_option("--logits", arguments->logits,
                      "write float32 [ids, vocab] to this .npy file");
  command->add_option("--greedy", arguments->greedy, "print this many greedily decoded ids");
  command->add_option("--weights", arguments->weights,
                      "which of the pack's, if it has several, for all stages or, separated by "
                      "commas, for each; default: the first");
  command->add_flag("--exact", arguments->exact,
                    "float activations for q4 and q8 weights, as ONNX Runtime has them");
  command->callback([arguments, &exit_code] { exit_code = RunEval(*arguments); });
}

}  // namespace shoal::cli
