// SPDX-License-Identifier: Apache-2.0
#include "mpi/cart_shape.h"

#include <gtest/gtest.h>

namespace rk::mpi {
namespace {

TEST(CartShape, RowMajor) {
  const CartShape shape{{2, 3, 4}, {false, true, false}};
  EXPECT_EQ(shape.processes(), 24);
  EXPECT_EQ(shape.coordinates(0), (std::vector<int>{0, 0, 0}));
  EXPECT_EQ(shape.coordinates(23), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(shape.coordinates(13), (std::vector<int>{1, 0, 1}));
  for (int rank = 0; rank < 24; ++rank) EXPECT_EQ(shape.rank(shape.coordinates(rank)), rank);
}

TEST(CartShape, PeriodicWrapsAndOpenEnds) {
  const CartShape shape{{2, 3}, {false, true}};
  EXPECT_EQ(shape.rank({1, -1}), 5);
  EXPECT_EQ(shape.rank({1, 7}), 4);
  EXPECT_EQ(shape.rank({2, 0}), std::nullopt);
  EXPECT_EQ(shape.rank({-1, 0}), std::nullopt);
}

TEST(CartShape, ShiftNamesSourceAndDestination) {
  const CartShape shape{{2, 3}, {false, true}};
  const auto down = shape.shift(1, 0, 1);  // at (0, 1)
  EXPECT_EQ(down.source, std::nullopt);
  EXPECT_EQ(down.dest, 4);
  const auto around = shape.shift(3, 1, -1);  // at (1, 0)
  EXPECT_EQ(around.source, 4);
  EXPECT_EQ(around.dest, 5);
  const auto nowhere = shape.shift(2, 1, 3);
  EXPECT_EQ(nowhere.source, 2);
  EXPECT_EQ(nowhere.dest, 2);
}

TEST(CartShape, SubGridsHaveAColorEach) {
  const CartShape shape{{2, 3}, {false, true}};
  const CartShape rows = shape.remaining({false, true});
  EXPECT_EQ(rows.dims, (std::vector<int>{3}));
  EXPECT_TRUE(rows.periodic[0]);
  EXPECT_EQ(shape.color(0, {false, true}), 0);
  EXPECT_EQ(shape.color(5, {false, true}), 1);
  EXPECT_EQ(shape.color(5, {true, false}), 2);
  EXPECT_EQ(shape.color(5, {true, true}), 0);
}

}  // namespace
}  // namespace rk::mpi
