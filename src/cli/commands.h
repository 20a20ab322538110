// The subcommands of `shoal`, in the order of its help: a file of this folder each, and a name
// here.
#pragma once

#include "cli/command.h"

namespace shoal::cli {

AddCommand AddPack, AddEval, AddStage, AddServe, AddJoin, AddLink, AddPlan, AddSimulate, AddBench;

inline constexpr AddCommand* kCommands[] = {AddPack,     AddServe, AddJoin,  AddLink, AddPlan,
                                            AddSimulate, AddEval,  AddStage, AddBench};

}  // namespace shoal::cli
