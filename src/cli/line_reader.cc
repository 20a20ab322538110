#include "cli/line_reader.h"

#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <iostream>
#include <string_view>
#include <system_error>

namespace shoal::cli {

namespace {

namespace fs = std::filesystem;

constexpr int kHistoryLines = 1000;

}  // namespace

struct LineReader::Editor {
  explicit Editor(fs::path file) : history_file(std::move(file)) {
    // Characters, not bytes, are edited.
    std::setlocale(LC_CTYPE, "");
    line = el_init("shoal", stdin, stdout, stderr);
    past = history_init();
    if (line == nullptr || past == nullptr) return;
    HistEvent event;
    history(past, &event, H_SETSIZE, kHistoryLines);
    history(past, &event, H_SETUNIQUE, 1);
    if (!history_file.empty()) history(past, &event, H_LOAD, history_file.c_str());
    el_set(line, EL_CLIENTDATA, this);
    el_set(line, EL_PROMPT, &Prompt);
    el_set(line, EL_EDITOR, "emacs");
    el_set(line, EL_HIST, history, past);
    // While a line is edited Ctrl-C is a key like others, and ends the line.
    el_set(line, EL_SETTY, "-d", "-isig", nullptr);
    el_set(line, EL_ADDFN, "shoal-drop", "Throw the line away", &Drop);
    el_set(line, EL_BIND, "^C", "shoal-drop", nullptr);
    el_set(line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(line, nullptr);  // ~/.editrc
  }
  ~Editor() {
    if (past != nullptr) history_end(past);
    if (line != nullptr) el_end(line);
  }

  static Editor* Of(EditLine* line) {
    Editor* editor = nullptr;
    el_get(line, EL_CLIENTDATA, &editor);
    return editor;
  }
  static char* Prompt(EditLine* line) { return Of(line)->prompt; }
  static unsigned char Drop(EditLine* line, wint_t) {
    Of(line)->dropped = true;
    return CC_NEWLINE;
  }

  void Remember(const std::string& text) {
    HistEvent event;
    history(past, &event, H_ENTER, text.c_str());
    if (history_file.empty()) return;
    const mode_t mask = ::umask(077);
    history(past, &event, H_SAVE, history_file.c_str());
    ::umask(mask);
  }

  const fs::path history_file;
  EditLine* line = nullptr;
  History* past = nullptr;
  bool dropped = false;
  char* prompt = first_prompt;
  char first_prompt[3] = "> ";
  char next_prompt[3] = "| ";
};

LineReader::LineReader(const fs::path& history) {
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1) return;
  auto editor = std::make_unique<Editor>(history);
  if (editor->line != nullptr && editor->past != nullptr) editor_ = std::move(editor);
}

LineReader::~LineReader() = default;

std::optional<std::string> LineReader::Read() {
  std::string text;
  for (bool is_first = true;; is_first = false) {
    const auto line = ReadOne(is_first);
    if (!line) return is_first ? std::nullopt : std::optional(text);
    if (editor_ != nullptr && editor_->dropped) return "";
    text += *line;
    if (!text.ends_with('\\')) break;
    text.back() = '\n';
  }
  if (editor_ != nullptr && !text.empty()) editor_->Remember(text);
  return text;
}

std::optional<std::string> LineReader::ReadOne(bool is_first) {
  if (editor_ == nullptr) {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }
  editor_->prompt = is_first ? editor_->first_prompt : editor_->next_prompt;
  editor_->dropped = false;
  int count = 0;
  const char* const typed = el_gets(editor_->line, &count);
  if (editor_->dropped) {
    std::fputs("^C\n", stdout);
    return "";
  }
  if (typed == nullptr || count <= 0) {
    std::fputs("\n", stdout);
    return std::nullopt;
  }
  std::string_view line(typed, static_cast<size_t>(count));
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return std::string(line);
}

}  // namespace shoal::cli
