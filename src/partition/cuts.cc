#include "partition/cuts.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/str_cat.h"

namespace shoal::partition {

namespace {

constexpr size_t kMaxNamed = 4;

// What crosses after every node.
class Crossings {
 public:
  Crossings(const Reading& reading, const Canonical& canonical)
      : reading_(reading), canonical_(canonical) {
    std::map<std::string, size_t> readers;
    for (const onnx::Node& node : canonical.nodes) {
      for (const std::string& input : node.inputs) ++readers[input];
    }
    std::set<std::string> open = {"tokens"};
    for (size_t i = 0; i < canonical.nodes.size(); ++i) {
      const onnx::Node& node = canonical.nodes[i];
      for (const std::string& input : node.inputs) {
        if (--readers[input] == 0) open.erase(input);
      }
      for (const std::string& output : node.outputs) {
        if (readers[output] > 0) open.insert(output);
      }
      if (node.op_type == "GroupQueryAttention") attentions_.push_back(i);
      open_.push_back(open);
    }
  }

  const std::vector<size_t>& attentions() const { return attentions_; }

  // The cuts between two layers' attentions; gap 0 is before the first layer's.
  std::vector<Cut> In(size_t gap) const {
    std::vector<Cut> cuts;
    for (size_t i = Begin(gap); i < End(gap); ++i) {
      if (open_[i].size() != 1) continue;
      const std::string& value = *open_[i].begin();
      const int64_t width = RowWidth(value);
      if (width > 0) cuts.push_back({i, value, width});
    }
    return cuts;
  }

  // Why there is no cut in a gap that all the others have a width for.
  std::string Reason(size_t gap) const {
    size_t least = Begin(gap);
    for (size_t i = Begin(gap); i < End(gap); ++i) {
      if (open_[i].size() < open_[least].size()) least = i;
    }
    const auto& layers = reading_.layers();
    const std::string place =
        gap == 0 ? StrCat("before the attention over the cache \"", layers.front().past_key, "\"")
        : gap == layers.size()
            ? StrCat("after the attention over the cache \"", layers.back().past_key, "\"")
            : StrCat("between the caches \"", layers[gap - 1].past_key, "\" and \"",
                     layers[gap].past_key, "\"");
    if (open_.empty() || Begin(gap) >= End(gap)) return StrCat("nothing is computed ", place);
    std::string names;
    size_t count = 0;
    for (const std::string& value : open_[least]) {
      if (++count > kMaxNamed) break;
      names += StrCat(count > 1 ? ", " : "", "\"", value, "\"");
    }
    return StrCat("a block hands one value of the same width for every token to the next, but ",
                  place, " at least ", open_[least].size(),
                  " cross or their width differs: ", names);
  }

 private:
  size_t Begin(size_t gap) const { return gap == 0 ? 0 : attentions_[gap - 1]; }
  size_t End(size_t gap) const {
    return gap < attentions_.size() ? attentions_[gap] : open_.size() - 1;
  }

  // n of a value that is [batch, sequence, n] in every sample; 0 of others.
  int64_t RowWidth(const std::string& value) const {
    const auto found = canonical_.dims.find(value);
    if (found == canonical_.dims.end()) return 0;
    const int64_t width = found->second.front().empty() ? 0 : found->second.front().back();
    for (size_t i = 0; i < reading_.samples().size(); ++i) {
      const Sample& sample = reading_.samples()[i];
      if (found->second[i] != std::vector{sample.batch, sample.sequence, width}) return 0;
    }
    return width;
  }

  const Reading& reading_;
  const Canonical& canonical_;
  std::vector<size_t> attentions_;
  std::vector<std::set<std::string>> open_;
};

}  // namespace

Result<std::vector<Cut>> FindCuts(const Reading& reading, const Canonical& canonical) {
  const Crossings crossings(reading, canonical);
  const size_t layers = reading.layers().size();
  if (crossings.attentions().size() != layers) {
    return Fail(Code::kUnimplemented, StrCat("the logits depend on ", crossings.attentions().size(),
                                             " of ", layers, " caches"));
  }
  std::map<int64_t, size_t> widths;
  std::vector<std::vector<Cut>> gaps;
  for (size_t gap = 0; gap <= layers; ++gap) {
    gaps.push_back(crossings.In(gap));
    std::set<int64_t> here;
    for (const Cut& cut : gaps.back()) here.insert(cut.width);
    if (here.empty()) return Fail(Code::kUnimplemented, crossings.Reason(gap));
    for (const int64_t width : here) ++widths[width];
  }
  const auto common =
      std::ranges::find_if(widths, [&](const auto& entry) { return entry.second == layers + 1; });
  if (common == widths.end()) return Fail(Code::kUnimplemented, crossings.Reason(0));
  std::vector<Cut> cuts;
  for (size_t gap = 0; gap <= layers; ++gap) {
    std::erase_if(gaps[gap], [&](const Cut& cut) { return cut.width != common->first; });
    const Cut* chosen = &gaps[gap].back();
    if (gap == layers && layers > 1) {
      const size_t distance = cuts[1].after - crossings.attentions()[0];
      const size_t ideal = crossings.attentions().back() + distance;
      for (const Cut& cut : gaps[gap]) {
        const auto off = [&](const Cut& c) {
          return c.after > ideal ? c.after - ideal : ideal - c.after;
        };
        if (off(cut) < off(*chosen)) chosen = &cut;
      }
    }
    cuts.push_back(*chosen);
  }
  return cuts;
}

}  // namespace shoal::partition
