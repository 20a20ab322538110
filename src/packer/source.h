// What goes into a pack: a checkpoint whose tensors are those that its architecture asks for, and
// the files that are packed along.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/checkpoint.h"
#include "packer/packer.h"
#include "store/sha256.h"

namespace shoal::packer {

using PackedFiles = std::map<std::string, std::string>;  // Name -> content.

struct Source {
  model::Checkpoint checkpoint;
  PackedFiles files;  // tokenizer.json and its like.
};

// What text <-> ids and chats need, of a folder: all of it may be missing. Where there is no
// tokenizer.json it is made of the files that stand for it (tokenizer/convert/convert.h).
Result<PackedFiles> FilesOfFolder(const std::filesystem::path& folder);

// Opens a checkpoint, a folder or a GGUF file, and checks it: a missing tensor, one that no block
// reads and one of another shape are errors naming it.
Result<Source> OpenSource(const std::filesystem::path& path);

// A hash of the file, which is read once, from end to end. `done`, of the `total` bytes that are
// read of all files, grows by its size. kCancelled when `progress` says so.
Result<store::Sha256> HashFile(const model::MappedFile& file, uint64_t total, uint64_t& done,
                               const std::function<bool(const Progress&)>& progress);

// A hash of the names and contents of everything that was opened: equal for equal inputs, wherever
// they lie. Reads the weight files once, from end to end.
Result<store::Sha256> Fingerprint(const Source& source,
                                  const std::function<bool(const Progress&)>& progress);

}  // namespace shoal::packer
