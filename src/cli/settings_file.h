// The text of a settings file: a small part of TOML.
//
//   # a comment
//   [serve]
//   host = "0.0.0.0"
//   port = 8080
//   exact = true
//   api-key = ["one key", 'another']   # an array may go over several lines
//
// Strings stand in quotes: "with \" \\ \n \t escapes" or 'as they are'; whole numbers, decimal ones
// and true or false without. What is none of this is an error that names the line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoal::cli {

struct Setting {
  std::string section;
  std::string name;
  std::vector<std::string> values;  // One, unless it is an array.
  size_t line = 0;                  // From 1.
};

// kInvalidArgument: "line 3: DETAIL". A name that comes twice in a section is an error, and so is
// one before the first section.
Result<std::vector<Setting>> ParseSettings(std::string_view text);

}  // namespace shoal::cli
