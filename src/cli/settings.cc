#include "cli/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/str_cat.h"
#include "cli/settings_file.h"

namespace shoal::cli {

namespace {

namespace fs = std::filesystem;

std::string Variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

// The name of an option in a file: that of its long flag, or of its place.
std::string NameOf(const CLI::Option& option) {
  return option.get_lnames().empty() ? option.get_name(true) : option.get_lnames().front();
}

bool HasSettings(const CLI::App& command) {
  return std::ranges::find(kCommandsWithSettings, command.get_name()) !=
         std::end(kCommandsWithSettings);
}

constexpr size_t kSettingsBytesMax = 1u << 20;

// CLI11 lets a file win over the environment. Here the environment wins: what it sets is taken out
// of what the file says.
class SettingsFile : public CLI::ConfigTOML {
 public:
  explicit SettingsFile(CLI::App& app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override {
    std::string text(kSettingsBytesMax + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(in.gcount()));
    if (text.size() > kSettingsBytesMax) throw CLI::ConfigError("settings: the file is too large");
    auto settings = ParseSettings(text);
    if (!settings) throw CLI::ConfigError("settings, " + settings.error().detail);
    std::vector<CLI::ConfigItem> kept;
    for (Setting& setting : *settings) {
      const CLI::Option* const option = OptionOf(setting);
      if (option == nullptr) {
        throw CLI::ConfigError(StrCat("settings, line ", setting.line, ": there is no ",
                                      setting.name, " in a section [", setting.section, "]"));
      }
      if (!Variable(option->get_envname()).empty()) continue;
      CLI::ConfigItem item;
      item.parents = {setting.section};
      item.name = setting.name;
      item.inputs = std::move(setting.values);
      kept.push_back(std::move(item));
    }
    return kept;
  }

 private:
  // Null when there is none that a file may set.
  const CLI::Option* OptionOf(const Setting& setting) const {
    for (const CLI::App* command : app_.get_subcommands({})) {
      if (command->get_name() != setting.section || !HasSettings(*command)) continue;
      for (const CLI::Option* option : command->get_options()) {
        if (NameOf(*option) == setting.name && option->get_configurable()) return option;
      }
    }
    return nullptr;
  }

  CLI::App& app_;
};

}  // namespace

std::string VariableOf(std::string_view flag) {
  std::string name = "SHOAL_";
  for (const char c : flag) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::string DefaultSettingsFile() {
  std::vector<fs::path> places;
  if (const std::string home = Variable("XDG_CONFIG_HOME"); !home.empty()) {
    places.emplace_back(fs::path(home) / "shoal/shoal.toml");
  } else if (const std::string user = Variable("HOME"); !user.empty()) {
    places.emplace_back(fs::path(user) / ".config/shoal/shoal.toml");
  }
  places.emplace_back("/etc/shoal/shoal.toml");
  std::error_code error;
  for (const fs::path& place : places) {
    if (fs::exists(place, error)) return place;
  }
  return "";
}

void AddSettings(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands({})) {
    if (!HasSettings(*command)) continue;
    command->fallthrough();  // --config after the command's name, too.
    for (CLI::Option* option : command->get_options()) {
      const bool is_help = option == command->get_help_ptr();
      option->configurable(!is_help);
      if (!is_help) option->envname(VariableOf(NameOf(*option)));
    }
  }
  const std::string chosen = Variable("SHOAL_CONFIG");
  app.set_config("--config", chosen.empty() ? DefaultSettingsFile() : chosen,
                 "the settings file; default: ~/.config/shoal/shoal.toml or /etc/shoal/shoal.toml",
                 !chosen.empty())
      ->required(false);
  app.config_formatter(std::make_shared<SettingsFile>(app));
}

}  // namespace shoal::cli
