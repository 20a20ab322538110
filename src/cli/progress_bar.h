// A progress bar on stderr, when stderr is a terminal; nothing otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shoal::cli {

class ProgressBar {
 public:
  ProgressBar();
  // Ends the line.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Draws "packing [#####     ]  52%  1.0 GiB of 2.0 GiB" when it differs from what is there.
  void Show(std::string_view what, uint64_t done_bytes, uint64_t total_bytes);
  // Whether there is a terminal, and something on it.
  bool is_drawn() const { return !drawn_.empty(); }

 private:
  bool terminal_;
  std::string drawn_;
};

}  // namespace shoal::cli
