#include "volunteer/session_table.h"

#include <gtest/gtest.h>

namespace shoal::volunteer {
namespace {

constexpr SessionLimits kLimits{.generation = 4,
                                .has_head = false,
                                .positions = 100,
                                .kv_bytes_per_position = 10,
                                .kv_bytes_max = 1500};

wire::Open OpenOf(uint64_t session, uint32_t epoch) {
  return {.session = SessionId{session},
          .epoch = Epoch{epoch},
          .generation = 4,
          .next = NodeId{2},
          .capacity = 100};
}

Code CodeOf(const Result<SessionTable::Opened>& opened) {
  return opened ? Code::kInternal : opened.error().code;
}

TEST(SessionTable, EpochsGrow) {
  SessionTable table;
  table.Reset(kLimits);
  const auto opened = table.Open(OpenOf(1, 3));
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->is_new);
  EXPECT_EQ(CodeOf(table.Open(OpenOf(1, 3))), Code::kStaleEpoch);
  EXPECT_EQ(table.Require(SessionId{1}, Epoch{2}).error().code, Code::kStaleEpoch);
  EXPECT_EQ(table.Require(SessionId{1}, Epoch{4}).error().code, Code::kFailedPrecondition);
  EXPECT_EQ(table.Require(SessionId{2}, Epoch{1}).error().code, Code::kNotFound);
  table.Cancel({SessionId{1}, Epoch{2}});
  EXPECT_FALSE(opened->session->cancelled);
  table.Cancel({SessionId{1}, Epoch{3}});
  EXPECT_TRUE(opened->session->cancelled);
  wire::Open again = OpenOf(1, 5);
  again.keep = 7;
  again.next = NodeId{9};
  const auto reopened = table.Open(again);
  ASSERT_TRUE(reopened);
  EXPECT_FALSE(reopened->is_new);
  EXPECT_EQ(reopened->session, opened->session);
  EXPECT_FALSE(reopened->session->cancelled);
  EXPECT_EQ(reopened->session->next, NodeId{9});
  again.epoch = Epoch{6};
  again.capacity = 101;
  EXPECT_EQ(CodeOf(table.Open(again)), Code::kInvalidArgument);
}

TEST(SessionTable, KvIsCounted) {
  SessionTable table;
  table.Reset(kLimits);
  ASSERT_TRUE(table.Open(OpenOf(1, 1)));
  EXPECT_EQ(table.reserved_bytes(), 1000u);
  EXPECT_EQ(CodeOf(table.Open(OpenOf(2, 1))), Code::kResourceExhausted);
  const SessionPtr released = table.Release(SessionId{1});
  ASSERT_TRUE(released);
  EXPECT_TRUE(released->gone);
  EXPECT_FALSE(table.Release(SessionId{1}));
  EXPECT_EQ(table.reserved_bytes(), 0u);
  const auto second = table.Open(OpenOf(2, 1));
  ASSERT_TRUE(second);
  EXPECT_NE(second->session->kv, released->kv);
  EXPECT_EQ(table.Reset({}), std::vector{second->session});
  EXPECT_EQ(table.count(), 0u);
}

TEST(SessionTable, RoutesThatCannotBe) {
  SessionTable table;
  EXPECT_EQ(CodeOf(table.Open(OpenOf(1, 1))), Code::kFailedPrecondition);
  table.Reset(kLimits);
  wire::Open open = OpenOf(1, 1);
  open.generation = 3;
  EXPECT_EQ(CodeOf(table.Open(open)), Code::kFailedPrecondition);
  open = OpenOf(0, 1);
  EXPECT_EQ(CodeOf(table.Open(open)), Code::kInvalidArgument);
  open = OpenOf(1, 1);
  open.next = kCoordinator;
  EXPECT_EQ(CodeOf(table.Open(open)), Code::kInvalidArgument);
  open = OpenOf(1, 1);
  open.capacity = 101;
  EXPECT_EQ(CodeOf(table.Open(open)), Code::kInvalidArgument);
  open = OpenOf(1, 1);
  open.keep = 1;
  EXPECT_EQ(CodeOf(table.Open(open)), Code::kOutOfRange);
}

}  // namespace
}  // namespace shoal::volunteer
