/* SPDX-License-Identifier: Apache-2.0
 * Communicators and Cartesian topologies that span communities, lie inside one, or do both. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

static int rank, size;

static int sum_over(MPI_Comm comm, int value) {
  int sum = 0;
  MPI_Allreduce(&value, &sum, 1, MPI_INT, MPI_SUM, comm);
  return sum;
}

static void describe(const char* what, MPI_Comm comm) {
  if (comm == MPI_COMM_NULL) {
    printf("%d: %s null\n", rank, what);
    return;
  }
  int mine, members, token = rank, got = -1, topology;
  MPI_Status status;
  MPI_Comm_rank(comm, &mine);
  MPI_Comm_size(comm, &members);
  MPI_Sendrecv(&token, 1, MPI_INT, (mine + 1) % members, 1, &got, 1, MPI_INT, (mine + members - 1) % members, 1, comm,
               &status);
  MPI_Topo_test(comm, &topology);
  printf("%d: %s %d of %d, sum %d, left %d (%d), topology %s\n", rank, what, mine, members, sum_over(comm, rank), got,
         status.MPI_SOURCE,
         topology == MPI_CART        ? "cart"
         : topology == MPI_UNDEFINED ? "none"
                                     : "other");
}

static void compare(const char* what, MPI_Comm a, MPI_Comm b) {
  int result;
  MPI_Comm_compare(a, b, &result);
  printf("%d: %s %s\n", rank, what,
         result == MPI_IDENT       ? "ident"
         : result == MPI_CONGRUENT ? "congruent"
         : result == MPI_SIMILAR   ? "similar"
                                   : "unequal");
}

static void cartesian(void) {
  int dims[2] = {0, 0}, periods[2] = {0, 1}, coords[2], got_dims[2], got_periods[2], at[2], up, down, left, right, n;
  MPI_Dims_create(size, 2, dims);
  MPI_Comm grid, row, column, copy;
  MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &grid);
  describe("grid", grid);
  MPI_Cart_get(grid, 2, got_dims, got_periods, coords);
  MPI_Cartdim_get(grid, &n);
  MPI_Cart_coords(grid, rank, 2, at);
  MPI_Cart_shift(grid, 0, 1, &up, &down);
  MPI_Cart_shift(grid, 1, 1, &left, &right);
  int back;
  MPI_Cart_rank(grid, coords, &back);
  printf("%d: cart %d: %dx%d %d%d at %d %d = %d %d, %d; neighbours %d %d %d %d\n", rank, n, got_dims[0], got_dims[1],
         got_periods[0], got_periods[1], coords[0], coords[1], at[0], at[1], back, up, down, left, right);
  double edge = rank, other = -1;
  MPI_Sendrecv(&edge, 1, MPI_DOUBLE, down, 3, &other, 1, MPI_DOUBLE, up, 3, grid, MPI_STATUS_IGNORE);
  printf("%d: from above %.0f\n", rank, other);
  const int rows[2] = {0, 1}, columns[2] = {1, 0};
  MPI_Cart_sub(grid, rows, &row);
  MPI_Cart_sub(grid, columns, &column);
  describe("row", row);
  describe("column", column);
  MPI_Comm_dup(grid, &copy);
  describe("copy of grid", copy);
  MPI_Cart_get(row, 1, got_dims, got_periods, at);
  printf("%d: row has %d, periodic %d, at %d\n", rank, got_dims[0], got_periods[0], at[0]);
  int small_dims[1] = {size - 1}, small_periods[1] = {0};
  MPI_Comm line;
  MPI_Cart_create(MPI_COMM_WORLD, 1, small_dims, small_periods, 0, &line);
  describe("line", line);
  if (line != MPI_COMM_NULL) MPI_Comm_free(&line);
  MPI_Comm_free(&row), MPI_Comm_free(&column), MPI_Comm_free(&copy), MPI_Comm_free(&grid);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm dup, halves, odd, reversed, nested, lone;
  MPI_Comm_dup(MPI_COMM_WORLD, &dup);
  describe("dup", dup);
  MPI_Comm_split(MPI_COMM_WORLD, rank < size / 2, rank, &halves);
  describe("halves", halves);
  MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &odd);
  describe("odd", odd);
  MPI_Comm_split(MPI_COMM_WORLD, 0, size - rank, &reversed);
  describe("reversed", reversed);
  MPI_Comm_split(reversed, rank == 0 ? MPI_UNDEFINED : 3, 0, &nested);
  describe("nested", nested);
  MPI_Comm_split(dup, rank, 0, &lone);
  describe("lone", lone);
  compare("world and itself", MPI_COMM_WORLD, MPI_COMM_WORLD);
  compare("world and dup", MPI_COMM_WORLD, dup);
  compare("world and reversed", MPI_COMM_WORLD, reversed);
  compare("world and halves", MPI_COMM_WORLD, halves);
  char name[MPI_MAX_OBJECT_NAME];
  int length, flag;
  MPI_Comm_set_name(dup, "second world");
  MPI_Comm_get_name(dup, name, &length);
  void* bound;
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &bound, &flag);
  printf("%d: %s, tag bound %d\n", rank, name, flag && *(int*)bound > 1000);
  /* The same tag on two communicators: no mix-up. */
  const int peer = size - 1 - rank;
  if (peer != rank) {
    int a = 1, b = 2, first = 0, second = 0, to, from;
    MPI_Send(&a, 1, MPI_INT, peer, 9, MPI_COMM_WORLD);
    MPI_Send(&b, 1, MPI_INT, peer, 9, dup);
    MPI_Recv(&second, 1, MPI_INT, peer, 9, dup, MPI_STATUS_IGNORE);
    MPI_Recv(&first, 1, MPI_INT, peer, 9, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    (void)to, (void)from;
    printf("%d: contexts %d %d\n", rank, first, second);
  }
  cartesian();
  MPI_Comm_free(&dup), MPI_Comm_free(&halves), MPI_Comm_free(&odd), MPI_Comm_free(&reversed), MPI_Comm_free(&lone);
  if (nested != MPI_COMM_NULL) MPI_Comm_free(&nested);
  MPI_Finalize();
  return 0;
}
