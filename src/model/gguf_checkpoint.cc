#include <algorithm>
#include <charconv>
#include <optional>

#include "base/str_cat.h"
#include "model/checkpoint.h"
#include "model/gguf_model.h"

namespace shoal::model {

namespace {

constexpr uint64_t kMaxParts = 4096;

// "model-00001-of-00003.gguf" names the first of three files: the text before the number, and 3.
struct Split {
  std::string stem;
  uint64_t count = 0;
};
std::optional<Split> ReadSplit(std::string_view name) {
  constexpr std::string_view kPattern = "-00001-of-00000.gguf";
  if (name.size() <= kPattern.size()) return std::nullopt;
  const std::string_view tail = name.substr(name.size() - kPattern.size());
  Split split{std::string(name.substr(0, name.size() - kPattern.size())), 0};
  const char* const digits = tail.data() + 10;
  const auto [end, error] = std::from_chars(digits, digits + 5, split.count);
  if (!tail.starts_with("-00001-of-") || !tail.ends_with(".gguf") || error != std::errc() ||
      end != digits + 5 || split.count == 0) {
    return std::nullopt;
  }
  return split;
}

std::string PartName(const Split& split, uint64_t part) {
  const auto five = [](uint64_t number) {
    const std::string digits = std::to_string(number);
    return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits;
  };
  return StrCat(split.stem, "-", five(part), "-of-", five(split.count), ".gguf");
}

}  // namespace

Result<Checkpoint> Checkpoint::OpenGguf(const std::filesystem::path& file) {
  Checkpoint checkpoint;
  checkpoint.folder_ = file.parent_path();
  std::vector<std::string> names = {file.filename().string()};
  if (const std::optional<Split> split = ReadSplit(names[0])) {
    if (split->count > kMaxParts) {
      return Fail(Code::kResourceExhausted,
                  StrCat(names[0], ": ", split->count, " files; at most ", kMaxParts));
    }
    for (uint64_t part = 2; part <= split->count; ++part) names.push_back(PartName(*split, part));
  }
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::Open(checkpoint.folder_ / name));
    ASSIGN_OR_RETURN(Gguf gguf, Gguf::Parse(mapped.bytes(), name));
    checkpoint.files_.push_back({name, std::move(mapped)});
    checkpoint.ggufs_.push_back(std::move(gguf));
  }
  const Gguf& first = checkpoint.ggufs_.front();
  if (first.Has("split.count")) {
    ASSIGN_OR_RETURN(const uint64_t count, first.Uint("split.count", 0, kMaxParts));
    if (count > 1 && count != names.size()) {
      return Fail(Code::kInvalidArgument,
                  StrCat(names[0], ": is one of ", count, " files; name the first of them, which ",
                         "ends in \"-00001-of-", count, ".gguf\" with five digits"));
    }
  }
  ASSIGN_OR_RETURN(GgufModel model, ReadGgufModel(checkpoint.ggufs_));
  checkpoint.config_json_ = std::move(model.config_json);
  checkpoint.generation_json_ = std::move(model.generation_json);
  checkpoint.tensors_ = std::move(model.tensors);
  ASSIGN_OR_RETURN(checkpoint.architecture_, ParseArchitecture(checkpoint.config_json_));
  // The files hold norms as they are, also those that the family stores less 1.
  checkpoint.architecture_.norm.minus_one = false;
  ASSIGN_OR_RETURN(checkpoint.generation_,
                   ParseGenerationDefaults(checkpoint.config_json_, checkpoint.generation_json_,
                                           checkpoint.architecture_.vocab));
  return checkpoint;
}

}  // namespace shoal::model
