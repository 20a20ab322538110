// Who may use the API: named keys, as `Authorization: Bearer KEY`.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "coordinator/gate/secret.h"

namespace shoal {

class ApiKeys {
 public:
  // kInvalidArgument for a key that no Authorization field could carry (empty, blanks, control
  // characters, more than 512 bytes), and for a name that is taken. An empty name becomes "key-N".
  Status Add(std::string name, std::string_view key);
  // One key a line: "KEY" or "NAME KEY"; '#' begins a comment. Errors name the line.
  Status AddLines(std::string_view text);

  // Without any key everybody may ask.
  bool empty() const { return keys_.empty(); }
  // The name of the key in the value of an Authorization field.
  std::optional<std::string> Find(std::string_view authorization) const;

 private:
  struct Key {
    std::string name;
    Secret secret;
  };
  std::vector<Key> keys_;
};

}  // namespace shoal
