// The planner against exhaustive search. SHOAL_TESTS=full runs thousands of instances.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <set>
#include <string_view>

#include "planner/chain_oracle.h"
#include "planner/pipeline_search.h"
#include "planner/pool_oracle.h"
#include "planner/pool_plan.h"
#include "planner/random_problem.h"

namespace shoal::planner {
namespace {

bool FullTests() {
  const char* tests = std::getenv("SHOAL_TESTS");
  return tests != nullptr && std::string_view(tests) == "full";
}

struct Gaps {
  int instances = 0;
  int feasible = 0;
  double worst = 0;
  double sum = 0;
  uint64_t worst_seed = 0;

  void Add(uint64_t seed, double gap) {
    ++feasible;
    sum += gap;
    if (gap > worst) {
      worst = gap;
      worst_seed = seed;
    }
  }
  double mean() const { return feasible == 0 ? 0 : sum / feasible; }
};

void Report(const char* what, const Gaps& gaps) {
  std::printf("%s: %d instances, %d with a plan, gap worst %.3f %% (seed %llu), mean %.4f %%\n",
              what, gaps.instances, gaps.feasible, 100 * gaps.worst,
              static_cast<unsigned long long>(gaps.worst_seed), 100 * gaps.mean());
}

std::vector<Index> Everyone(const Costs& costs) {
  std::vector<Index> all(costs.volunteer_count());
  std::iota(all.begin(), all.end(), Index{0});
  return all;
}

TEST(Optimality, FirstPipelineAgainstEveryChain) {
  Gaps gaps;
  const int rounds = FullTests() ? 4000 : 250;
  for (int round = 0; round < rounds; ++round) {
    const auto seed = static_cast<uint64_t>(round);
    const Problem problem = SmallProblem(seed, 7, 12);
    ASSERT_TRUE(ValidateProblem(problem).has_value());
    const Costs costs(problem);
    ++gaps.instances;
    const std::vector<Chain> found = SearchChains(costs, Everyone(costs), {}, 4);
    ChainOracle oracle(costs);
    const double best = oracle.Best();
    ASSERT_EQ(found.empty(), oracle.chain().empty()) << "seed " << seed;
    if (found.empty()) continue;
    EXPECT_NEAR(EvaluateChain(costs, oracle.chain()).effective, best, best * 1e-9);
    const double score = EvaluateChain(costs, found.front()).effective;
    ASSERT_GE(score, best * (1 - 1e-9)) << "seed " << seed << ": better than exhaustive search";
    gaps.Add(seed, score / best - 1);
  }
  Report("first pipeline, 7 volunteers, 12 blocks", gaps);
  EXPECT_LE(gaps.worst, 0.03) << "seed " << gaps.worst_seed;
  EXPECT_LE(gaps.mean(), 0.005);
  EXPECT_GT(gaps.feasible, gaps.instances / 3);
}

// Everything together: several pipelines, replicas, who is left out.
TEST(Optimality, WholePlanAgainstEveryPlan) {
  Gaps gaps;
  const int rounds = FullTests() ? 3000 : 200;
  const uint32_t volunteers = FullTests() ? 6 : 5;
  for (int round = 0; round < rounds; ++round) {
    const auto seed = static_cast<uint64_t>(round) + 1'000'000;
    const Problem problem = SmallProblem(seed, volunteers, 5);
    const Costs costs(problem);
    ++gaps.instances;
    const Result<PoolPlan> plan = PlanPool(problem);
    ASSERT_TRUE(plan.has_value());
    const double best = PoolOracle(costs).Best();
    ASSERT_EQ(plan->complete(), best < kInfinity) << "seed " << seed;
    if (!plan->complete()) continue;
    const double score = plan->prediction.effective;
    ASSERT_GE(score, best * (1 - 1e-9)) << "seed " << seed << ": better than exhaustive search";
    gaps.Add(seed, score / best - 1);
  }
  Report("whole plan, 5 or 6 volunteers, 5 blocks", gaps);
  EXPECT_LE(gaps.worst, 0.03) << "seed " << gaps.worst_seed;
  EXPECT_LE(gaps.mean(), 0.005);
  EXPECT_GT(gaps.feasible, gaps.instances / 3);
}

// Volunteers that get the same blocks in more bytes or fewer: what each holds fits, counted here
// anew, and the plan is as good as with one form.
TEST(Optimality, WholePlanInForms) {
  Gaps gaps;
  int mixed = 0;
  const int rounds = FullTests() ? 2000 : 200;
  for (int round = 0; round < rounds; ++round) {
    const auto seed = static_cast<uint64_t>(round) + 2'000'000;
    const Problem problem = SmallProblemInForms(seed, 5, 5);
    const Result<PoolPlan> plan = PlanPool(problem);
    ASSERT_TRUE(plan.has_value()) << plan.error().ToString();
    const Costs costs(problem);
    ++gaps.instances;
    const double best = PoolOracle(costs).Best();
    ASSERT_EQ(plan->complete(), best < kInfinity) << "seed " << seed;
    if (!plan->complete()) continue;
    gaps.Add(seed, plan->prediction.effective / best - 1);
    std::set<uint32_t> forms;
    for (const Pipeline& pipeline : plan->pipelines) {
      for (const PlacedSpan& stage : pipeline.stages) {
        for (const NodeId node : stage.nodes) {
          const Volunteer& holder = problem.volunteers[node.value - 1];
          ASSERT_EQ(holder.node, node);
          const auto& blocks =
              holder.form == 0 ? problem.blocks : problem.other_forms.at(holder.form - 1);
          EXPECT_LE(BytesNeeded(blocks, stage.span, problem.limits), holder.memory_bytes);
          forms.insert(holder.form);
        }
      }
    }
    if (forms.size() > 1) ++mixed;
  }
  Report("whole plan in forms, up to 5 volunteers, 5 blocks", gaps);
  EXPECT_LE(gaps.worst, 0.03) << "seed " << gaps.worst_seed;
  EXPECT_LE(gaps.mean(), 0.005);
  EXPECT_GT(mixed, gaps.instances / 10);
}

TEST(Problem, FormsDifferInTheirBytesAlone) {
  Problem problem = SmallProblemInForms(1, 5, 5);
  ASSERT_TRUE(ValidateProblem(problem).has_value());
  Problem other = problem;
  other.volunteers.front().form = static_cast<uint32_t>(other.other_forms.size()) + 1;
  EXPECT_FALSE(ValidateProblem(other).has_value());
  other = problem;
  other.other_forms.front().front().flops_per_token += 1;
  EXPECT_FALSE(ValidateProblem(other).has_value());
  other = problem;
  other.other_forms.front().pop_back();
  EXPECT_FALSE(ValidateProblem(other).has_value());
}

}  // namespace
}  // namespace shoal::planner
