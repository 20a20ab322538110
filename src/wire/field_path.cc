#include "wire/field_path.h"

#include "base/str_cat.h"

namespace shoal::wire {

void FieldPath::Fail(Code code, std::string_view detail) {
  if (failed_) return;
  failed_ = true;
  error_ = {code, StrCat(ToString(), ": ", detail)};
}

void FieldPath::Push(Segment segment) { segments_.push_back(segment); }

void FieldPath::Pop() { segments_.pop_back(); }

std::string FieldPath::ToString() const {
  std::string out;
  for (const Segment& segment : segments_) {
    if (segment.name.empty()) {
      out += StrCat("[", segment.index, "]");
    } else {
      if (!out.empty()) out += '.';
      out += segment.name;
    }
  }
  return out;
}

}  // namespace shoal::wire
