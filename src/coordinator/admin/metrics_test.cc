#include "coordinator/admin/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

namespace shoal {
namespace {

using testing::HasSubstr;

// Reads the format as a scraper does: every sample belongs to a described series, none comes twice.
std::map<std::string, double> Scrape(const std::string& text) {
  std::map<std::string, double> samples;
  std::set<std::string> described;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      const std::string name = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(described.insert(name).second) << name;
    }
    if (line.starts_with('#')) continue;
    const size_t end = line.rfind(' ');
    const std::string key = line.substr(0, end);
    std::string name = key.substr(0, key.find('{'));
    for (const char* suffix : {"_bucket", "_sum", "_count"}) {
      if (name.ends_with(suffix)) name.resize(name.size() - std::string_view(suffix).size());
    }
    EXPECT_TRUE(described.contains(name)) << line;
    EXPECT_TRUE(samples.emplace(key, std::stod(line.substr(end + 1))).second) << line;
  }
  EXPECT_TRUE(text.ends_with('\n'));
  return samples;
}

TEST(MetricsTest, CountsAnswers) {
  Metrics metrics;
  metrics.OnAnswer({.status = 200,
                    .prompt_tokens = 10,
                    .completion_tokens = 5,
                    .first_token = kSecond / 5,
                    .total = 3 * kSecond});
  metrics.OnAnswer({.status = 200,
                    .prompt_tokens = 1,
                    .completion_tokens = 2,
                    .first_token = 2 * kSecond,
                    .total = 500 * kSecond});
  metrics.OnAnswer({.status = 503});
  auto samples = Scrape(metrics.Text({}));
  EXPECT_EQ(samples["shoal_requests_total{status=\"200\"}"], 2);
  EXPECT_EQ(samples["shoal_requests_total{status=\"503\"}"], 1);
  EXPECT_EQ(samples["shoal_prompt_tokens_total"], 11);
  EXPECT_EQ(samples["shoal_completion_tokens_total"], 7);
  // Buckets are cumulative, and a bound belongs to its bucket.
  EXPECT_EQ(samples["shoal_first_token_seconds_bucket{le=\"0.1\"}"], 0);
  EXPECT_EQ(samples["shoal_first_token_seconds_bucket{le=\"0.25\"}"], 1);
  EXPECT_EQ(samples["shoal_first_token_seconds_bucket{le=\"2.5\"}"], 2);
  EXPECT_EQ(samples["shoal_first_token_seconds_bucket{le=\"+Inf\"}"], 2);
  EXPECT_EQ(samples["shoal_first_token_seconds_count"], 2);
  EXPECT_NEAR(samples["shoal_first_token_seconds_sum"], 2.2, 1e-9);
  EXPECT_EQ(samples["shoal_answer_seconds_bucket{le=\"120\"}"], 1);
  EXPECT_EQ(samples["shoal_answer_seconds_count"], 2);
}

TEST(MetricsTest, SaysWhatIsSo) {
  Gauges gauges;
  gauges.model = "a \"quoted\\ name\n";
  gauges.started_unix_s = 1'700'000'000;
  gauges.connections = 3;
  gauges.volunteers_by_state[swarm::VolunteerState::kReady] = 2;
  gauges.is_available = true;
  gauges.missing_bytes = 1ull << 40;
  gauges.tokens_per_second = 12.5;
  const std::string text = Metrics().Text(gauges);
  auto samples = Scrape(text);
  EXPECT_THAT(text, HasSubstr(R"(shoal_info{model="a \"quoted\\ name "} 1)"));
  EXPECT_EQ(samples["process_start_time_seconds"], 1'700'000'000);
  EXPECT_EQ(samples["shoal_connections"], 3);
  EXPECT_EQ(samples["shoal_volunteers{state=\"ready\"}"], 2);
  EXPECT_EQ(samples["shoal_volunteers{state=\"spare\"}"], 0);
  EXPECT_EQ(samples["shoal_available"], 1);
  EXPECT_EQ(samples["shoal_missing_bytes"], static_cast<double>(1ull << 40));
  EXPECT_EQ(samples["shoal_tokens_per_second"], 12.5);
}

}  // namespace
}  // namespace shoal
