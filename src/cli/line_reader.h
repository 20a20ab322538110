// Lines that a person types, with editing and a history that outlives the program (libedit); or
// lines of a pipe or file, as they are.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace shoal::cli {

class LineReader {
 public:
  // `history`: a file that only its owner can read; empty: none is kept.
  explicit LineReader(const std::filesystem::path& history);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // Whether a person types: stdin and stdout are a terminal.
  bool is_terminal() const { return editor_ != nullptr; }

  // The next line, without its end; nothing at the end of input. A line that ends in a backslash
  // goes on in the next one. Ctrl-C throws away what was typed.
  std::optional<std::string> Read();

 private:
  struct Editor;

  std::optional<std::string> ReadOne(bool is_first);

  std::unique_ptr<Editor> editor_;
};

}  // namespace shoal::cli
