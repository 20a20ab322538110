// The folder that a pack is written to: whether it may be, and what of it can be used.
#pragma once

#include <optional>

#include "base/result.h"
#include "packer/journal.h"
#include "packer/packer.h"

namespace shoal::packer {

// A first look, before the checkpoint is read: kAlreadyExists when what is there can be neither
// this pack nor an unfinished one, unless options.force.
Status CheckTarget(const PackOptions& options);

// The outcome if the very pack that `job` would make is there, whole. kAlreadyExists when it is
// another one, kDataLoss when it is damaged. Nothing with options.force, which always packs anew.
Result<std::optional<PackOutcome>> FindExisting(const PackOptions& options, const Job& job);

// Makes the folder ready and opens its journal, which holds what an interrupted run of the same job
// has finished. With options.force the remains of other packs are removed: the manifest, the
// journal and the blobs, and nothing else.
Result<Journal> PrepareTarget(const PackOptions& options, const Job& job);

}  // namespace shoal::packer
