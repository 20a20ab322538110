#include "cli/progress_bar.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/bytes.h"
#include "base/str_cat.h"

namespace shoal::cli {

ProgressBar::ProgressBar() : terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (!drawn_.empty()) std::fputs("\n", stderr);
}

void ProgressBar::Show(std::string_view what, uint64_t done_bytes, uint64_t total_bytes) {
  if (!terminal_) return;
  constexpr uint64_t kWidth = 30;
  const double share = total_bytes == 0 ? 1.0 : static_cast<double>(done_bytes) / total_bytes;
  const auto filled = std::min(static_cast<uint64_t>(share * kWidth), kWidth);
  const auto percent = std::min(static_cast<uint64_t>(share * 100), uint64_t{100});
  std::string line =
      StrCat(what, " [", std::string(filled, '#'), std::string(kWidth - filled, ' '), "] ", percent,
             "%  ", FormatSize(done_bytes), " of ", FormatSize(total_bytes));
  if (line == drawn_) return;
  // To the start of the line, and clear what a longer one left.
  std::fputs(StrCat("\r", line, "\x1b[K").c_str(), stderr);
  std::fflush(stderr);
  drawn_ = std::move(line);
}

}  // namespace shoal::cli
