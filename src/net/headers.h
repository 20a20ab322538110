// HTTP header fields: an ordered list whose names compare in any case.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shoal::net {

// ASCII only, as HTTP wants it.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  Headers() = default;
  Headers(std::initializer_list<Field> fields) : fields_(fields) {}

  // The value of the first field of that name. The view lives as long as the field is unchanged.
  std::optional<std::string_view> Find(std::string_view name) const;
  // The same; empty when there is none.
  std::string_view Get(std::string_view name) const { return Find(name).value_or(""); }
  bool Has(std::string_view name) const { return Find(name).has_value(); }
  // Whether a comma-separated list such as Connection or Accept-Encoding names `token`.
  // Parameters are left out of the comparison, except that q=0 means "not this one".
  bool HasToken(std::string_view name, std::string_view token) const;

  // Replaces every field of that name.
  void Set(std::string_view name, std::string_view value);
  void Add(std::string_view name, std::string_view value);
  void Remove(std::string_view name);

  size_t size() const { return fields_.size(); }
  std::vector<Field>::const_iterator begin() const { return fields_.begin(); }
  std::vector<Field>::const_iterator end() const { return fields_.end(); }

  // "Name: value\r\n" for every field. Control characters in values become spaces, so that no value
  // can begin a field of its own.
  std::string Serialize() const;

 private:
  std::vector<Field> fields_;
};

}  // namespace shoal::net
