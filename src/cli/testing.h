// For tests: reference answers of the golden checkpoints, and running a command line.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/str_cat.h"
#include "cli/commands.h"
#include "model/file.h"
#include "model/json.h"

namespace shoal::cli {

// The values of a .npy file of float32, C order, as NumPy and `shoal eval` write them.
inline std::vector<float> ReadNpy(const std::string& path) {
  const auto content = model::ReadFile(path, 1 << 28);
  EXPECT_TRUE(content) << content.error().ToString();
  if (!content || content->size() < 10) return {};
  EXPECT_EQ(content->substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  uint16_t header_bytes = 0;
  std::memcpy(&header_bytes, content->data() + 8, 2);
  const std::string header = content->substr(10, header_bytes);
  EXPECT_NE(header.find("'descr': '<f4'"), std::string::npos) << header;
  EXPECT_NE(header.find("'fortran_order': False"), std::string::npos) << header;
  const std::string data = content->substr(10 + header_bytes);
  std::vector<float> values(data.size() / sizeof(float));
  std::memcpy(values.data(), data.data(), values.size() * sizeof(float));
  return values;
}

// One prompt with the answers of the reference implementation.
struct Reference {
  std::vector<int32_t> prompt_ids;
  std::vector<int32_t> greedy_ids;
  std::vector<double> greedy_margin;

  // Greedy steps that must agree: those before the first whose best two logits nearly tie.
  size_t decided_steps() const {
    size_t steps = 0;
    while (steps < greedy_margin.size() && greedy_margin[steps] >= 1e-3) ++steps;
    return steps;
  }
};

inline Reference ReadReference(const boost::json::object& object) {
  Reference reference;
  for (const auto& id : object.at("prompt_ids").as_array()) {
    reference.prompt_ids.push_back(static_cast<int32_t>(id.to_number<int64_t>()));
  }
  for (const auto& id : object.at("greedy_ids").as_array()) {
    reference.greedy_ids.push_back(static_cast<int32_t>(id.to_number<int64_t>()));
  }
  for (const auto& margin : object.at("greedy_margin").as_array()) {
    reference.greedy_margin.push_back(margin.to_number<double>());
  }
  return reference;
}

inline std::string GoldenFolder(const std::string& kind) {
  return StrCat(SHOAL_SOURCE_DIR "/tests/golden/hf/", kind);
}

inline Reference GoldenReference(const std::string& kind) {
  const auto text = model::ReadFile(GoldenFolder(kind) + "/ref.json", 1 << 20);
  EXPECT_TRUE(text) << text.error().ToString();
  return ReadReference(model::ParseJson(*text, "ref.json")->as_object());
}

// The largest difference over the largest expected value.
inline double RelativeError(const std::vector<float>& values, const std::vector<float>& expected) {
  EXPECT_EQ(values.size(), expected.size());
  if (values.size() != expected.size()) return 1e9;
  double difference = 0;
  double largest = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    difference = std::max(difference, std::abs(double{values[i]} - double{expected[i]}));
    largest = std::max(largest, std::abs(double{expected[i]}));
  }
  return std::isnan(difference) ? 1e9 : difference / largest;
}

template <typename T>
std::string JoinNumbers(const std::vector<T>& numbers) {
  std::string text;
  for (const T number : numbers) text += StrCat(text.empty() ? "" : ",", number);
  return text;
}

struct CommandResult {
  int exit_code = 0;
  std::string out;
  std::string err;
};

// Runs `shoal ARGUMENTS` in this process.
inline CommandResult RunShoal(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv = {"shoal"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  CommandResult result;
  result.exit_code = RunCommandLine(kCommands, static_cast<int>(argv.size()), argv.data());
  result.out = testing::internal::GetCapturedStdout();
  result.err = testing::internal::GetCapturedStderr();
  return result;
}

}  // namespace shoal::cli
