#include "cli/describe_commands.h"

#include "base/check.h"
#include "base/str_cat.h"

namespace shoal::cli {

namespace {

// "TEXT:{f32,f16}" -> {"f32", "f16"}.
std::vector<std::string> Choices(const std::string& type) {
  const size_t begin = type.find(":{");
  const size_t end = type.find('}', begin == type.npos ? 0 : begin);
  if (begin == type.npos || end == type.npos) return {};
  return CLI::detail::split(type.substr(begin + 2, end - begin - 2), ',');
}

OptionFacts Describe(const CLI::Option& option) {
  OptionFacts facts;
  for (const std::string& name : option.get_snames()) facts.flags.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) facts.flags.push_back("--" + name);
  if (facts.flags.empty()) facts.place = option.get_name(true);
  facts.help = option.get_description();
  facts.variable = option.get_envname();
  facts.choices = Choices(option.get_type_name());
  facts.takes_value = option.get_items_expected_max() > 0;
  facts.is_required = option.get_required();
  for (const std::string& flag : facts.flags) {
    facts.is_secret = facts.is_secret || flag == "--api-key" || flag == "--join-secret";
  }
  if (!facts.is_secret) facts.otherwise = option.get_default_str();
  return facts;
}

void Add(const CLI::App& app, const std::vector<std::string>& path,
         std::vector<CommandFacts>& out) {
  CommandFacts facts{path, app.get_description(), {}, {}};
  for (const CLI::Option* option : app.get_options()) facts.options.push_back(Describe(*option));
  const auto subcommands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* each : subcommands) facts.subcommands.push_back(each->get_name());
  out.push_back(std::move(facts));
  for (const CLI::App* each : subcommands) {
    std::vector<std::string> below = path;
    below.push_back(each->get_name());
    Add(*each, below, out);
  }
}

}  // namespace

std::vector<CommandFacts> DescribeCommands(const CLI::App& app) {
  std::vector<CommandFacts> out;
  Add(app, {}, out);
  return out;
}

const std::string& LongFlag(const OptionFacts& option) {
  CHECK(!option.flags.empty());
  return option.flags.back();
}

}  // namespace shoal::cli
