#include "cli/man_page.h"

#include <algorithm>
#include <cctype>

#include "base/str_cat.h"
#include "cli/version.h"

namespace shoal::cli {

namespace {

// Text as it is: no escapes, no hyphens in place of minus signs, no request at a line's start.
std::string Plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
      out += c;
    }
  }
  return out;
}

std::string Upper(std::string_view text) {
  std::string out;
  for (const char c : text) out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::string NameOf(const CommandFacts& command) {
  std::string out = "shoal";
  for (const std::string& word : command.path) out += " " + word;
  return out;
}

// ".TP" with the flags, and what they mean.
std::string Describe(const OptionFacts& option) {
  std::string out = ".TP\n";
  if (option.flags.empty()) {
    out += StrCat(".I ", Plain(Upper(option.place)), "\n");
  } else {
    std::string flags;
    for (const std::string& flag : option.flags) {
      flags += StrCat(flags.empty() ? "" : ", ", "\\fB", Plain(flag), "\\fR");
    }
    out += StrCat(flags, option.takes_value ? " \\fIVALUE\\fR" : "", "\n");
  }
  out += Plain(option.help);
  if (!option.otherwise.empty()) out += StrCat("; default: ", Plain(option.otherwise));
  if (!option.variable.empty()) out += StrCat("; \\fB$", option.variable, "\\fR");
  return out + "\n";
}

std::string Synopsis(const CommandFacts& command) {
  std::string out = StrCat(".B ", Plain(NameOf(command)), "\n");
  for (const OptionFacts& option : command.options) {
    if (!option.flags.empty()) continue;
    const std::string place = Plain(Upper(option.place));
    out += option.is_required ? StrCat(".I ", place, "\n") : StrCat("[\\fI", place, "\\fR]\n");
  }
  return StrCat(out, "[\\fIOPTION\\fR]...\n");
}

constexpr std::string_view kBefore = R"(.SH DESCRIPTION
Shoal runs a language model that fits on none of your devices across the browsers of many.
.B shoal serve
starts a coordinator with a model; people open its page and lend a tab, or lend a machine with
.BR "shoal join" ;
everyone chats on its page, with
.BR "shoal chat" ,
or with any client of OpenAI's API at the address and /v1.
)";

constexpr std::string_view kAfter = R"(.SH SETTINGS
A flag of serve, join, status and chat that is not given takes its value from the environment, else
from the settings file, else its default. The variable of \fB\-\-max\-answers\fR is
\fB$SHOAL_MAX_ANSWERS\fR, that of the argument MODEL is \fB$SHOAL_MODEL\fR, and so on; several
values are \fB[A,B]\fR. The settings file is that of \fB\-\-config\fR, else of
\fB$SHOAL_CONFIG\fR, else the first of
.IR $XDG_CONFIG_HOME/shoal/shoal.toml " or " ~/.config/shoal/shoal.toml ,
and
.I /etc/shoal/shoal.toml
that exists. It is TOML, with a section for each command:
.PP
.EX
[serve]
model = "/srv/models/Qwen3\-8B"
host = "0.0.0.0"
tls = "self"
api\-key\-file = "/etc/shoal/keys"
.EE
.SH FILES
.TP
.I $STATE_DIRECTORY, $XDG_DATA_HOME/shoal \fRor\fI ~/.local/share/shoal
what outlives serve: packs, the certificate it made; and the lines typed to chat
.TP
.I $CACHE_DIRECTORY, $XDG_CACHE_HOME/shoal \fRor\fI ~/.cache/shoal
weights that join has fetched
.SH EXIT STATUS
0: done. 1: failed; of status: a request would not be answered. 2: wrong usage. 130: an answer was
stopped by Ctrl\-C, where chat is no conversation in a terminal.
.SH EXAMPLES
.EX
shoal serve ~/models/Qwen3\-8B \-\-lend 8G
shoal join https://shoal.example/lend \-\-memory 16G
shoal chat https://shoal.example
echo 'Tell me a story.' | shoal chat
.EE
.SH SEE ALSO
.BR curl (1),
.BR systemctl (1)
)";

}  // namespace

std::string ManPage(std::span<const CommandFacts> commands) {
  std::string out = StrCat(".TH SHOAL 1 \"\" \"shoal ", kVersion, "\" \"User Commands\"\n");
  out += ".SH NAME\nshoal \\- one language model over many browsers\n.SH SYNOPSIS\n";
  for (const CommandFacts& command : commands) {
    if (command.path.empty() || !command.subcommands.empty()) continue;
    out += StrCat(out.ends_with("SYNOPSIS\n") ? "" : ".br\n", Synopsis(command));
  }
  out += kBefore;
  out += ".SH OPTIONS\n";
  for (const CommandFacts& command : commands) {
    if (!command.path.empty()) {
      out += StrCat(".SS ", Plain(NameOf(command)), "\n", Plain(command.help), ".\n");
    }
    for (const OptionFacts& option : command.options) {
      const bool is_help = std::ranges::find(option.flags, "--help") != option.flags.end();
      if (!is_help || command.path.empty()) out += Describe(option);
    }
  }
  out += kAfter;
  return out;
}

}  // namespace shoal::cli
