// SPDX-License-Identifier: Apache-2.0
#include "mpi/request_table.h"

#include <gtest/gtest.h>

#include <map>

#include "base/prng.h"

namespace rk::mpi {
namespace {

// Handles are addresses of native objects; the table never looks into them.
MPI_Request handle(std::uint64_t number) { return reinterpret_cast<MPI_Request>(0x10000 + number * 16); }

TEST(RequestTable, FindsWhatWasAddedAndNothingElse) {
  RequestTable table;
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.find(handle(1)), nullptr);
  table.add(handle(1), RequestKind::kNativeSend);
  table.add(handle(2), RequestKind::kNativeRecv).source = 7;
  ASSERT_NE(table.find(handle(2)), nullptr);
  EXPECT_EQ(table.find(handle(2))->source, 7);
  table.remove(handle(1));
  EXPECT_EQ(table.find(handle(1)), nullptr);
  EXPECT_NE(table.find(handle(2)), nullptr);
  table.remove(handle(1));
  EXPECT_EQ(table.size(), 1U);
}

TEST(RequestTable, ANewRequestWithAnOldHandleStartsAfresh) {
  RequestTable table;
  RequestEntry& first = table.add(handle(5), RequestKind::kPersistent);
  first.sends = true;
  first.source = 3;
  const RequestEntry& second = table.add(handle(5), RequestKind::kNativeRecv);
  EXPECT_FALSE(second.sends);
  EXPECT_EQ(second.source, MPI_ANY_SOURCE);
  EXPECT_EQ(table.size(), 1U);
}

// Removal moves entries together: no order of adding and removing may lose one.
TEST(RequestTable, AgreesWithAMapOverRandomHistories) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Prng prng(seed);
    RequestTable table;
    std::map<std::uint64_t, int> model;
    for (int step = 0; step < 5000; ++step) {
      const std::uint64_t number = prng.below(700);
      if (prng.chance(3, 5)) {
        table.add(handle(number), RequestKind::kNativeRecv).source = step;
        model[number] = step;
      } else {
        table.remove(handle(number));
        model.erase(number);
      }
      const std::uint64_t asked = prng.below(700);
      const RequestEntry* found = table.find(handle(asked));
      const auto expected = model.find(asked);
      ASSERT_EQ(found != nullptr, expected != model.end()) << "seed " << seed << " step " << step;
      if (found == nullptr) continue;
      ASSERT_EQ(found->source, expected->second) << "seed " << seed << " step " << step;
    }
    std::size_t visited = 0;
    table.each([&visited](const RequestEntry&) { ++visited; });
    EXPECT_EQ(visited, model.size());
    EXPECT_EQ(table.size(), model.size());
  }
}

}  // namespace
}  // namespace rk::mpi
