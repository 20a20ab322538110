#include "cli/commands.h"

int main(int argc, char** argv) {
  return shoal::cli::RunCommandLine(shoal::cli::kCommands, argc, argv);
}
