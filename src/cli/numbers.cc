#include "cli/numbers.h"

#include <charconv>

#include "base/str_cat.h"

namespace shoal::cli {

Result<std::vector<uint32_t>> ParseNumbers(std::string_view text, uint32_t max) {
  std::vector<uint32_t> numbers;
  if (text.empty()) return numbers;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), number);
    if (error != std::errc() || end != item.data() + item.size() || number > max) {
      return Fail(Code::kInvalidArgument,
                  StrCat("\"", item.substr(0, 40), "\" is not a whole number from 0 to ", max));
    }
    numbers.push_back(number);
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace shoal::cli
