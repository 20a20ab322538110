// Where in a frame a decoder is, and the first thing that it found wrong there.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/str_cat.h"

namespace shoal::wire {

class FieldPath {
 public:
  // Steps into a field for the lifetime of the object; `name` outlives it.
  class Scope {
   public:
    Scope(FieldPath& path, std::string_view name) : path_(path) {
      path_.segments_.push_back({name, 0});
    }
    Scope(FieldPath& path, size_t index) : path_(path) { path_.segments_.push_back({{}, index}); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { path_.segments_.pop_back(); }

   private:
    FieldPath& path_;
  };

  bool failed() const { return failed_; }
  const Error& error() const { return error_; }

  // Keeps the first error; `detail` gets "step.rows[3].flags: " before it.
  void Fail(Code code, std::string_view detail) {
    if (failed_) return;
    failed_ = true;
    error_ = {code, StrCat(ToString(), ": ", detail)};
  }

 private:
  struct Segment {
    std::string_view name;  // Empty: an item of a list.
    size_t index;
  };

  std::string ToString() const {
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

  std::vector<Segment> segments_;
  Error error_;
  bool failed_ = false;
};

}  // namespace shoal::wire
