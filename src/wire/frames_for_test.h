// For tests: where the golden frames lie, and how to read them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace shoal::wire {

inline std::string ReadTestFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

struct GoldenFrame {
  std::string name;
  std::string json;
  ByteVector bytes;
};

// tests/golden/wire: every frame as JSON and as the bytes that make_hex.py made of it.
inline std::vector<GoldenFrame> GoldenFrames() {
  std::vector<GoldenFrame> frames;
  const std::filesystem::path folder = SHOAL_SOURCE_DIR "/tests/golden/wire";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    std::filesystem::path hex_path = entry.path();
    std::string hex = ReadTestFile(hex_path.replace_extension(".hex"));
    std::erase(hex, '\n');
    const Result<ByteVector> bytes = FromHex(hex);
    EXPECT_TRUE(bytes.has_value()) << hex_path;
    frames.push_back(
        {entry.path().stem(), ReadTestFile(entry.path()), bytes.value_or(ByteVector())});
  }
  std::ranges::sort(frames, {}, &GoldenFrame::name);
  return frames;
}

}  // namespace shoal::wire
