// Where in a frame a decoder is, and the first thing that it found wrong there.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace shoal::wire {

class FieldPath {
 public:
  // Steps into a field for the lifetime of the object; `name` outlives it.
  class Scope {
   public:
    Scope(FieldPath& path, std::string_view name) : path_(path) { path.Push({name, 0}); }
    Scope(FieldPath& path, size_t index) : path_(path) { path.Push({{}, index}); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { path_.Pop(); }

   private:
    FieldPath& path_;
  };

  bool failed() const { return failed_; }
  const Error& error() const { return error_; }

  // Keeps the first error; `detail` gets "step.rows[3].flags: " before it.
  void Fail(Code code, std::string_view detail);

 private:
  struct Segment {
    std::string_view name;  // Empty: an item of a list.
    size_t index;
  };

  void Push(Segment segment);
  void Pop();
  std::string ToString() const;

  std::vector<Segment> segments_;
  Error error_;
  bool failed_ = false;
};

}  // namespace shoal::wire
