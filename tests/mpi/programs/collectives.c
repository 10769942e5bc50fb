/* SPDX-License-Identifier: Apache-2.0
 * Every collective with every root, in place and not, with predefined and own operations. All values are small
 * integers, so that sums do not depend on their order. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size;

static unsigned long hash(const void* data, size_t bytes) {
  unsigned long value = 14695981039346656037UL;
  for (size_t i = 0; i < bytes; ++i) value = (value ^ ((const unsigned char*)data)[i]) * 1099511628211UL;
  return value;
}

static void show(const char* what, const void* data, size_t bytes) {
  printf("%d: %s %016lx\n", rank, what, hash(data, bytes));
}

/* 2 by 2 matrices: associative, does not commute. */
static void multiply(void* in, void* inout, int* count, MPI_Datatype* type) {
  (void)type;
  for (int i = 0; i < *count; ++i) {
    const long* a = (long*)in + 4 * i;
    long* b = (long*)inout + 4 * i;
    const long c[4] = {(a[0] * b[0] + a[1] * b[2]) % 1009, (a[0] * b[1] + a[1] * b[3]) % 1009,
                       (a[2] * b[0] + a[3] * b[2]) % 1009, (a[2] * b[1] + a[3] * b[3]) % 1009};
    memcpy(b, c, sizeof c);
  }
}

static void reductions(MPI_Comm comm) {
  double in[1000], out[1000];
  for (int n = 1; n <= 1000; n *= 10) {
    for (int i = 0; i < n; ++i) in[i] = rank * 7 + i, out[i] = -1;
    MPI_Allreduce(in, out, n, MPI_DOUBLE, MPI_SUM, comm);
    show("allreduce", out, sizeof(double) * (size_t)n);
    MPI_Allreduce(MPI_IN_PLACE, in, n, MPI_DOUBLE, MPI_MAX, comm);
    show("allreduce in place", in, sizeof(double) * (size_t)n);
    for (int root = 0; root < size; ++root) {
      for (int i = 0; i < n; ++i) in[i] = rank + i * root, out[i] = -1;
      MPI_Reduce(in, out, n, MPI_DOUBLE, MPI_MIN, root, comm);
      if (rank == root) show("reduce", out, sizeof(double) * (size_t)n);
      if (rank == root)
        MPI_Reduce(MPI_IN_PLACE, in, n, MPI_DOUBLE, MPI_SUM, root, comm);
      else
        MPI_Reduce(in, NULL, n, MPI_DOUBLE, MPI_SUM, root, comm);
      if (rank == root) show("reduce in place", in, sizeof(double) * (size_t)n);
    }
  }
  struct {
    double value;
    int where;
  } mine = {(rank * 5) % size, rank}, best;
  memset(&best, 0, sizeof best);
  MPI_Allreduce(&mine, &best, 1, MPI_DOUBLE_INT, MPI_MAXLOC, comm);
  printf("%d: maxloc %.0f at %d\n", rank, best.value, best.where);

  MPI_Op op;
  MPI_Op_create(multiply, 0, &op);
  MPI_Datatype matrix;
  MPI_Type_contiguous(4, MPI_LONG, &matrix);
  MPI_Type_commit(&matrix);
  long a[8] = {rank + 1, 2, 3, rank + 4, 5, rank, 1, 2}, product[8] = {0};
  MPI_Allreduce(a, product, 2, matrix, op, comm);
  show("product", product, sizeof product);
  for (int root = 0; root < size; ++root) {
    MPI_Reduce(a, product, 2, matrix, op, root, comm);
    if (rank == root) show("product at root", product, sizeof product);
  }
  MPI_Scan(a, product, 2, matrix, op, comm);
  show("scan of products", product, sizeof product);
  MPI_Type_free(&matrix);
  MPI_Op_free(&op);

  int value = rank + 1, result = 0;
  MPI_Scan(&value, &result, 1, MPI_INT, MPI_SUM, comm);
  printf("%d: scan %d\n", rank, result);
  result = -5;
  MPI_Exscan(&value, &result, 1, MPI_INT, MPI_SUM, comm);
  if (rank > 0) printf("%d: exscan %d\n", rank, result);

  int* blocks = malloc(sizeof(int) * (size_t)(size * size));
  int* counts = malloc(sizeof(int) * (size_t)size);
  int got[64] = {0};
  int total = 0;
  for (int r = 0; r < size; ++r) total += counts[r] = r + 1;
  for (int i = 0; i < size * size; ++i) blocks[i] = i + rank;
  (void)total;
  MPI_Reduce_scatter(blocks, got, counts, MPI_INT, MPI_SUM, comm);
  show("reduce_scatter", got, sizeof(int) * (size_t)counts[rank]);
  MPI_Reduce_scatter_block(blocks, got, 2, MPI_INT, MPI_SUM, comm);
  show("reduce_scatter_block", got, sizeof(int) * 2);
  free(blocks), free(counts);
}

static void movements(MPI_Comm comm) {
  int* all = malloc(sizeof(int) * (size_t)(size * size * 4));
  int* mine = malloc(sizeof(int) * (size_t)(size * 4));
  int* counts = malloc(sizeof(int) * (size_t)size);
  int* places = malloc(sizeof(int) * (size_t)size);
  int at = 0;
  for (int r = 0; r < size; ++r) counts[r] = r % 3 + 1, places[r] = at, at += counts[r] + 1;
  for (int root = 0; root < size; ++root) {
    for (int i = 0; i < 5; ++i) mine[i] = rank == root ? root * 100 + i : -1;
    MPI_Bcast(mine, 5, MPI_INT, root, comm);
    show("bcast", mine, sizeof(int) * 5);
    for (int i = 0; i < 3; ++i) mine[i] = rank * 10 + i;
    memset(all, 0, sizeof(int) * (size_t)(size * size * 4));
    MPI_Gather(mine, 3, MPI_INT, all, 3, MPI_INT, root, comm);
    if (rank == root) show("gather", all, sizeof(int) * (size_t)(3 * size));
    memset(all, 0, sizeof(int) * (size_t)(size * size * 4));
    MPI_Gatherv(mine, counts[rank], MPI_INT, all, counts, places, MPI_INT, root, comm);
    if (rank == root) show("gatherv", all, sizeof(int) * (size_t)at);
    for (int i = 0; i < size * 4; ++i) all[i] = root * 1000 + i;
    MPI_Scatter(all, 2, MPI_INT, mine, 2, MPI_INT, root, comm);
    show("scatter", mine, sizeof(int) * 2);
    memset(mine, 0, sizeof(int) * 4);
    MPI_Scatterv(all, counts, places, MPI_INT, mine, counts[rank], MPI_INT, root, comm);
    show("scatterv", mine, sizeof(int) * 4);
    if (rank == root) {
      for (int i = 0; i < size; ++i) all[i] = -i;
      all[root] = 5;
      MPI_Gather(MPI_IN_PLACE, 1, MPI_INT, all, 1, MPI_INT, root, comm);
      show("gather in place", all, sizeof(int) * (size_t)size);
    } else {
      MPI_Gather(mine, 1, MPI_INT, NULL, 0, MPI_INT, root, comm);
    }
  }
  for (int i = 0; i < 3; ++i) mine[i] = rank * 10 + i;
  MPI_Allgather(mine, 3, MPI_INT, all, 3, MPI_INT, comm);
  show("allgather", all, sizeof(int) * (size_t)(3 * size));
  memset(all, 0, sizeof(int) * (size_t)(size * size * 4));
  MPI_Allgatherv(mine, counts[rank], MPI_INT, all, counts, places, MPI_INT, comm);
  show("allgatherv", all, sizeof(int) * (size_t)at);
  all[rank] = rank + 77;
  MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, 1, MPI_INT, comm);
  show("allgather in place", all, sizeof(int) * (size_t)size);
  for (int i = 0; i < size * 2; ++i) mine[i] = rank * 100 + i;
  MPI_Alltoall(mine, 2, MPI_INT, all, 2, MPI_INT, comm);
  show("alltoall", all, sizeof(int) * (size_t)(2 * size));
  MPI_Alltoall(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, 2, MPI_INT, comm);
  show("alltoall in place", all, sizeof(int) * (size_t)(2 * size));
  int* sends = malloc(sizeof(int) * (size_t)size);
  int* from = malloc(sizeof(int) * (size_t)size);
  int* receives = malloc(sizeof(int) * (size_t)size);
  int* to = malloc(sizeof(int) * (size_t)size);
  for (int r = 0; r < size; ++r) {
    sends[r] = (rank + r) % 4;
    from[r] = r == 0 ? 0 : from[r - 1] + sends[r - 1];
    receives[r] = (rank + r) % 4;
    to[r] = r * 4;
  }
  memset(all, 0, sizeof(int) * (size_t)(size * size * 4));
  MPI_Alltoallv(mine, sends, from, MPI_INT, all, receives, to, MPI_INT, comm);
  show("alltoallv", all, sizeof(int) * (size_t)(size * 4));
  free(all), free(mine), free(counts), free(places), free(sends), free(from), free(receives), free(to);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Barrier(MPI_COMM_WORLD);
  reductions(MPI_COMM_WORLD);
  movements(MPI_COMM_WORLD);
  /* Ranks in another order: communities interleave. */
  MPI_Comm mixed;
  MPI_Comm_split(MPI_COMM_WORLD, 0, (rank * 5 + 2) % 7, &mixed);
  const int world = rank;
  MPI_Comm_rank(mixed, &rank);
  printf("world %d is %d\n", world, rank);
  reductions(mixed);
  movements(mixed);
  /* The same while a receive is open, whose message comes last. */
  int token = 0;
  MPI_Request request;
  MPI_Irecv(&token, 1, MPI_INT, MPI_ANY_SOURCE, 5, mixed, &request);
  reductions(mixed);
  movements(mixed);
  MPI_Send(&rank, 1, MPI_INT, (rank + 1) % size, 5, mixed);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  printf("%d: token %d\n", rank, token);
  MPI_Comm_free(&mixed);
  MPI_Finalize();
  return 0;
}
