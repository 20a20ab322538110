#include "cli/completion.h"

#include <algorithm>

#include "base/str_cat.h"

namespace shoal::cli {

namespace {

std::string Join(std::span<const std::string> words, std::string_view between) {
  std::string out;
  for (const std::string& word : words) out += StrCat(out.empty() ? "" : between, word);
  return out;
}

// `text` with a backslash before each of `special`.
std::string Escape(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) != special.npos) out += '\\';
    out += c;
  }
  return out;
}

// Within single quotes of a POSIX shell.
std::string InQuotes(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out;
}

// "bench engine": how a command is named in the scripts; "" for `shoal` itself.
std::string PathOf(const CommandFacts& command) { return Join(command.path, " "); }

std::string BashCase(const CommandFacts& command) {
  std::string flags;
  std::string out = StrCat("    '", PathOf(command), "')\n      case \"$previous\" in\n");
  for (const OptionFacts& option : command.options) {
    for (const std::string& flag : option.flags) flags += StrCat(flags.empty() ? "" : " ", flag);
    if (!option.takes_value || option.flags.empty()) continue;
    out += StrCat("        ", Join(option.flags, "|"), ") ");
    if (option.is_secret) {
      out += "return ;;\n";
    } else if (option.choices.empty()) {
      out += "_shoal_files; return ;;\n";
    } else {
      out += StrCat("_shoal_words '", Join(option.choices, " "), "'; return ;;\n");
    }
  }
  out += "      esac\n";
  out += StrCat("      flags='", flags, "'\n      subcommands='", Join(command.subcommands, " "),
                "'\n      ;;\n");
  return out;
}

std::string ZshSpec(const OptionFacts& option) {
  const std::string help = Escape(InQuotes(option.help), "[]:");
  std::string value;
  if (option.is_secret) {
    value = ":value: ";
  } else if (!option.choices.empty()) {
    value = StrCat(":value:(", Join(option.choices, " "), ")");
  } else if (option.takes_value) {
    value = ":value:_files";
  }
  if (option.flags.empty()) return StrCat("    '::", option.place, ":_files'");
  std::string out;
  for (const std::string& flag : option.flags) {
    out += StrCat(out.empty() ? "" : " \\\n", "    '*", flag, "[", help, "]", value, "'");
  }
  return out;
}

std::string ZshFunctionOf(const CommandFacts& command) {
  std::string name = "_shoal";
  for (const std::string& word : command.path) name += "_" + word;
  std::string out = StrCat(name, "() {\n");
  if (!command.subcommands.empty()) out += "  local context state state_descr line\n";
  out += "  _arguments";
  out += command.subcommands.empty() ? "" : " -C";
  for (const OptionFacts& option : command.options) out += StrCat(" \\\n", ZshSpec(option));
  if (command.subcommands.empty()) return out + "\n}\n\n";
  out += StrCat(" \\\n    '1: :(", Join(command.subcommands, " "), ")' \\\n    '*:: :->below'\n");
  out += "  [[ $state == below ]] || return\n  case $line[1] in\n";
  for (const std::string& each : command.subcommands) {
    out += StrCat("    ", each, ") ", name, "_", each, " ;;\n");
  }
  return out + "  esac\n}\n\n";
}

// The condition under which fish is within exactly this command.
std::string FishCondition(const CommandFacts& command) {
  if (command.path.empty()) return "__fish_use_subcommand";
  std::string out;
  for (const std::string& word : command.path) {
    out += StrCat(out.empty() ? "" : "; and ", "__fish_seen_subcommand_from ", word);
  }
  return out;
}

std::string FishLines(const CommandFacts& command) {
  const std::string head = StrCat("complete -c shoal -n '", FishCondition(command), "'");
  std::string out;
  for (const OptionFacts& option : command.options) {
    if (option.flags.empty()) continue;
    std::string line = head;
    for (const std::string& flag : option.flags) {
      const bool is_long = flag.starts_with("--");
      line += StrCat(is_long ? " -l " : " -s ", flag.substr(is_long ? 2 : 1));
    }
    if (option.takes_value) line += " -r";
    if (option.is_secret) line += " -f";
    if (!option.choices.empty()) line += StrCat(" -f -a '", Join(option.choices, " "), "'");
    out += StrCat(line, " -d '", Escape(option.help, "'\\"), "'\n");
  }
  return out;
}

}  // namespace

std::string BashCompletion(std::span<const CommandFacts> commands) {
  std::string out = R"(# Completion of shoal for bash; made by `shoal completion bash`.
_shoal_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current"); }
_shoal_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$current")
}
_shoal() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local path='' word flags='' subcommands=''
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
)";
  for (const CommandFacts& command : commands) {
    for (const std::string& each : command.subcommands) {
      const std::string path = PathOf(command);
      out += StrCat("      '", path, " ", each, "') path='", path, path.empty() ? "" : " ", each,
                    "' ;;\n");
    }
  }
  out += "    esac\n  done\n  case \"$path\" in\n";
  for (const CommandFacts& command : commands) out += BashCase(command);
  out += R"(  esac
  if [[ $current == -* ]]; then
    _shoal_words "$flags"
  elif [[ -n $subcommands ]]; then
    _shoal_words "$subcommands"
  else
    _shoal_files
  fi
}
complete -F _shoal shoal
)";
  return out;
}

std::string ZshCompletion(std::span<const CommandFacts> commands) {
  std::string out = "#compdef shoal\n# Made by `shoal completion zsh`.\n\n";
  for (const CommandFacts& command : commands) out += ZshFunctionOf(command);
  // Autoloaded, the file itself is the function; sourced, it only says who completes.
  return out +
         "if [[ $funcstack[1] == _shoal ]]; then\n  _shoal \"$@\"\nelse\n"
         "  compdef _shoal shoal\nfi\n";
}

std::string FishCompletion(std::span<const CommandFacts> commands) {
  std::string out = "# Completion of shoal for fish; made by `shoal completion fish`.\n";
  for (const CommandFacts& command : commands) {
    for (const CommandFacts& below : commands) {
      if (below.path.empty() || below.path.size() != command.path.size() + 1) continue;
      if (!std::equal(command.path.begin(), command.path.end(), below.path.begin())) continue;
      out += StrCat("complete -c shoal -f -n '", FishCondition(command), "' -a ", below.path.back(),
                    " -d '", Escape(below.help, "'\\"), "'\n");
    }
    out += FishLines(command);
  }
  return out;
}

}  // namespace shoal::cli
