// Properties of the repository itself: who includes whom, how long files are, which calls are
// banned, whether links in the documents lead somewhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace shoal {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = SHOAL_SOURCE_DIR;
constexpr size_t kLinesMax = 600;
constexpr size_t kColumnsMax = 100;

std::vector<std::string> Lines(const fs::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Files below `folder` whose name ends in one of `endings`, without what builds and npm leave.
std::vector<fs::path> Files(const fs::path& folder, const std::set<std::string>& endings) {
  std::vector<fs::path> files;
  if (!fs::exists(folder)) return files;
  for (auto at = fs::recursive_directory_iterator(folder); at != fs::recursive_directory_iterator();
       ++at) {
    const std::string name = at->path().filename();
    if (at->is_directory() && (name == "node_modules" || name == "dist" || name == "build" ||
                               name == "golden" || name.starts_with("."))) {
      at.disable_recursion_pending();
    } else if (at->is_regular_file() && endings.contains(at->path().extension())) {
      files.push_back(at->path());
    }
  }
  std::ranges::sort(files);
  return files;
}

std::string Name(const fs::path& path) { return fs::relative(path, kRoot); }

// The rooms in the order of src/README.md's tables.
std::vector<std::string> Rooms() {
  std::vector<std::string> rooms;
  const std::regex row(R"(^\| `([a-z]+)/` \|.*)");
  for (const std::string& line : Lines(kRoot / "src/README.md")) {
    std::smatch match;
    if (std::regex_match(line, match, row)) rooms.push_back(match[1]);
  }
  return rooms;
}

TEST(Tidy, RoomsIncludeOnlyFromRoomsAboveThem) {
  const std::vector<std::string> rooms = Rooms();
  ASSERT_GT(rooms.size(), 10u);
  std::map<std::string, size_t> place;
  for (size_t i = 0; i < rooms.size(); ++i) place[rooms[i]] = i;
  const std::regex include(R"re(^#include "([a-z0-9_]+)/.*")re");
  for (const fs::path& file : Files(kRoot / "src", {".h", ".cc"})) {
    const std::string room = *fs::relative(file, kRoot / "src").begin();
    ASSERT_TRUE(place.contains(room)) << room << " is not in src/README.md";
    for (const std::string& line : Lines(file)) {
      std::smatch match;
      if (!std::regex_match(line, match, include)) continue;
      const std::string other = match[1];
      ASSERT_TRUE(place.contains(other)) << Name(file) << ": " << line;
      EXPECT_LE(place[other], place[room]) << Name(file) << " includes from " << other;
    }
  }
}

TEST(Tidy, EveryFolderOfSourceIsARoomOfTheList) {
  const std::vector<std::string> rooms = Rooms();
  for (const auto& entry : fs::directory_iterator(kRoot / "src")) {
    if (!entry.is_directory()) continue;
    EXPECT_NE(std::ranges::find(rooms, entry.path().filename().string()), rooms.end())
        << entry.path();
  }
}

TEST(Tidy, FilesAreShortAndNarrow) {
  std::vector<fs::path> files = Files(kRoot / "src", {".h", ".cc", ".inc", ".S"});
  for (const char* folder : {"web", "tests", "scripts", "bench", "tools"}) {
    const auto more = Files(kRoot / folder, {".h", ".cc", ".ts", ".mjs", ".css", ".py"});
    files.insert(files.end(), more.begin(), more.end());
  }
  ASSERT_GT(files.size(), 50u);
  for (const fs::path& file : files) {
    const std::vector<std::string> lines = Lines(file);
    EXPECT_LE(lines.size(), kLinesMax) << Name(file);
    for (size_t i = 0; i < lines.size(); ++i) {
      // Columns are characters: continuation bytes of UTF-8 do not count.
      const auto columns = std::ranges::count_if(
          lines[i], [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
      EXPECT_LE(static_cast<size_t>(columns), kColumnsMax) << Name(file) << ":" << i + 1;
    }
  }
}

// A pattern that must not appear, and where it may all the same.
struct Ban {
  std::string pattern;
  std::string why;
  std::vector<std::string> allowed;  // Prefixes of file names.
};

TEST(Tidy, BannedCallsDoNotAppear) {
  const std::vector<Ban> bans = {
      {R"(\b(std::)?s?rand\()", "use base/random.h", {}},
      {R"(system_clock::now)",
       "time is handed in",
       {"src/coordinator/coordinator.cc", "src/cli/serve.cc", "src/net/"}},
      {R"(steady_clock::now)",
       "time is handed in",
       {"src/coordinator/", "src/net/", "src/cli/", "src/packer/"}},
      {R"(\b(TODO|FIXME|XXX)\b)", "finish it or put it into an issue", {}},
      {R"(#include [<"]boost/(asio|beast))", "only net/ sees Asio and Beast", {"src/net/"}},
      {R"(\bsleep_for\()", "wait for what you wait for", {"src/net/"}},
  };
  for (const fs::path& file : Files(kRoot / "src", {".h", ".cc"})) {
    const std::string name = Name(file);
    const bool is_test = name.find("_test.cc") != std::string::npos;
    const std::vector<std::string> lines = Lines(file);
    for (const Ban& ban : bans) {
      const bool allowed = std::ranges::any_of(
          ban.allowed, [&](const std::string& prefix) { return name.starts_with(prefix); });
      if (allowed || is_test) continue;
      const std::regex pattern(ban.pattern);
      for (size_t i = 0; i < lines.size(); ++i) {
        EXPECT_FALSE(std::regex_search(lines[i], pattern))
            << name << ":" << i + 1 << ": " << ban.why;
      }
    }
  }
}

TEST(Tidy, PortableCoreHasNoThreadsClocksOrStreams) {
  const std::regex banned(
      R"(#include <(thread|mutex|chrono|iostream|fstream|sstream|)"
      R"(filesystem|future|format|random)>)");
  for (const char* room : {"base", "tensor", "onnx", "sampler", "engine", "wire", "wasm"}) {
    for (const fs::path& file : Files(kRoot / "src" / room, {".h", ".cc"})) {
      const std::string name = Name(file);
      if (name.find("_test") != std::string::npos || name.find("_fuzz") != std::string::npos) {
        continue;
      }
      for (const std::string& line : Lines(file)) {
        EXPECT_FALSE(std::regex_search(line, banned)) << name << ": " << line;
      }
    }
  }
}

TEST(Tidy, HeadersBeginWithACommentAndPragmaOnce) {
  for (const fs::path& file : Files(kRoot / "src", {".h"})) {
    const std::vector<std::string> lines = Lines(file);
    ASSERT_FALSE(lines.empty()) << Name(file);
    EXPECT_TRUE(lines[0].starts_with("//")) << Name(file) << " does not say what it is";
    EXPECT_NE(std::ranges::find(lines, "#pragma once"), lines.end()) << Name(file);
  }
}

TEST(Tidy, LinksInDocumentsLeadSomewhere) {
  std::vector<fs::path> documents = Files(kRoot / "docs", {".md"});
  for (const char* folder : {"src", "web", "tests", "bench", "models", "tools", "scripts"}) {
    const auto more = Files(kRoot / folder, {".md"});
    documents.insert(documents.end(), more.begin(), more.end());
  }
  for (const auto& entry : fs::directory_iterator(kRoot)) {
    if (entry.path().extension() == ".md") documents.push_back(entry.path());
  }
  ASSERT_GT(documents.size(), 5u);
  const std::regex link(R"(\]\(([^)#\s]+)(#[^)]*)?\))");
  for (const fs::path& document : documents) {
    std::stringstream text;
    text << std::ifstream(document).rdbuf();
    const std::string body = text.str();
    for (std::sregex_iterator at(body.begin(), body.end(), link), end; at != end; ++at) {
      const std::string target = (*at)[1];
      if (target.find("://") != std::string::npos || target.starts_with("mailto:")) continue;
      EXPECT_TRUE(fs::exists(document.parent_path() / target))
          << Name(document) << " links to " << target;
    }
  }
}

// docs/token.md is a table of places in the code: each file has the function named beside it.
TEST(Tidy, TheTokensJourneyNamesPlacesThatExist) {
  const std::regex row(R"(^\| \d+ \|[^|]*\| `([^`]+)` \| `(\w+)` \|.*)");
  size_t places = 0;
  for (const std::string& line : Lines(kRoot / "docs/token.md")) {
    std::smatch match;
    if (!std::regex_match(line, match, row)) continue;
    ++places;
    std::stringstream code;
    code << std::ifstream(kRoot / match[1].str()).rdbuf();
    EXPECT_TRUE(std::regex_search(code.str(), std::regex("\\b" + match[2].str() + "\\b")))
        << match[1] << " has no " << match[2];
  }
  EXPECT_GT(places, 10u);
}

TEST(Tidy, LockFilesHoldNoResolvedAddresses) {
  for (const auto& file : {kRoot / "web/package-lock.json"}) {
    for (const std::string& line : Lines(file)) {
      EXPECT_EQ(line.find("\"resolved\": \"http"), std::string::npos) << Name(file) << ": " << line;
    }
  }
}

}  // namespace
}  // namespace shoal
