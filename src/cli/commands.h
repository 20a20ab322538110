// The subcommands of `shoal`, in the order of its help: a file of this folder each, and a name
// here.
#pragma once

#include "cli/command.h"

namespace shoal::cli {

AddCommand AddServe, AddJoin, AddStatus, AddChat, AddPack, AddPlan, AddSimulate, AddLink, AddEval,
    AddStage, AddBench, AddCompletion, AddMan;

inline constexpr AddCommand* kCommands[] = {AddServe, AddJoin,       AddStatus, AddChat, AddPack,
                                            AddPlan,  AddSimulate,   AddLink,   AddEval, AddStage,
                                            AddBench, AddCompletion, AddMan};

}  // namespace shoal::cli
