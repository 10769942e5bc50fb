/* SPDX-License-Identifier: Apache-2.0
 * Every kind of point-to-point call, within and across communities. Prints what it got; the same under plain mpirun. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static int rank, size;

static void ring_blocking(void) {
  const int right = (rank + 1) % size, left = (rank + size - 1) % size;
  int token = rank * 10, got = -1;
  MPI_Status status;
  if (rank % 2 == 0) {
    MPI_Send(&token, 1, MPI_INT, right, 7, MPI_COMM_WORLD);
    MPI_Recv(&got, 1, MPI_INT, left, 7, MPI_COMM_WORLD, &status);
  } else {
    MPI_Recv(&got, 1, MPI_INT, left, 7, MPI_COMM_WORLD, &status);
    MPI_Rsend(&token, 1, MPI_INT, right, 7, MPI_COMM_WORLD);
  }
  int count = 0;
  MPI_Get_count(&status, MPI_INT, &count);
  printf("%d: ring got %d from %d tag %d count %d\n", rank, got, status.MPI_SOURCE, status.MPI_TAG, count);
}

static void all_to_all_nonblocking(void) {
  MPI_Request* requests = malloc(sizeof(MPI_Request) * (size_t)size * 2);
  MPI_Status* statuses = malloc(sizeof(MPI_Status) * (size_t)size * 2);
  double* in = calloc((size_t)size * 100, sizeof(double));
  double* out = calloc((size_t)size * 100, sizeof(double));
  for (int peer = 0; peer < size; ++peer) {
    MPI_Irecv(in + peer * 100, 100, MPI_DOUBLE, peer, 3, MPI_COMM_WORLD, &requests[peer]);
    for (int i = 0; i < 100; ++i) out[peer * 100 + i] = rank * 1000 + peer + i * 0.5;
  }
  for (int peer = 0; peer < size; ++peer)
    MPI_Isend(out + peer * 100, peer + 1, MPI_DOUBLE, peer, 3, MPI_COMM_WORLD, &requests[size + peer]);
  MPI_Waitall(2 * size, requests, statuses);
  for (int peer = 0; peer < size; ++peer) {
    int count = 0;
    MPI_Get_count(&statuses[peer], MPI_DOUBLE, &count);
    printf("%d: from %d (status %d) %d doubles, first %.1f last %.1f null %d\n", rank, peer, statuses[peer].MPI_SOURCE,
           count, in[peer * 100], in[peer * 100 + count - 1], requests[peer] == MPI_REQUEST_NULL);
  }
  free(requests), free(statuses), free(in), free(out);
}

/* Tags overtake: the second message is received first. */
static void tags(void) {
  const int peer = size - 1 - rank;
  if (peer == rank) return;
  int a = 1 + rank, b = 100 + rank, first = 0, second = 0;
  MPI_Request request;
  MPI_Isend(&a, 1, MPI_INT, peer, 1, MPI_COMM_WORLD, &request);
  MPI_Bsend(&b, 1, MPI_INT, peer, 2, MPI_COMM_WORLD);
  MPI_Recv(&second, 1, MPI_INT, peer, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Recv(&first, 1, MPI_INT, peer, MPI_ANY_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  printf("%d: tags %d %d\n", rank, first, second);
}

static void sendrecv(void) {
  const int right = (rank + 1) % size, left = (rank + size - 1) % size;
  double mine[3] = {rank, rank + 0.25, rank + 0.5}, theirs[3];
  MPI_Status status;
  MPI_Sendrecv(mine, 3, MPI_DOUBLE, right, 5, theirs, 3, MPI_DOUBLE, left, 5, MPI_COMM_WORLD, &status);
  printf("%d: sendrecv %.2f from %d\n", rank, theirs[2], status.MPI_SOURCE);
  MPI_Sendrecv_replace(mine, 3, MPI_DOUBLE, left, 6, right, 6, MPI_COMM_WORLD, &status);
  printf("%d: replace %.2f from %d\n", rank, mine[1], status.MPI_SOURCE);
  MPI_Sendrecv(mine, 3, MPI_DOUBLE, rank == 0 ? MPI_PROC_NULL : rank - 1, 8, theirs, 3, MPI_DOUBLE,
               rank == size - 1 ? MPI_PROC_NULL : rank + 1, 8, MPI_COMM_WORLD, &status);
  printf("%d: chain from %d\n", rank, status.MPI_SOURCE);
}

/* A column of a matrix: data with holes on both sides. */
static void derived(void) {
  const int peer = (rank + size / 2) % size, from = (rank + size - size / 2) % size;
  MPI_Datatype column;
  MPI_Type_vector(4, 1, 5, MPI_INT, &column);
  MPI_Type_commit(&column);
  int matrix[20], got[20];
  for (int i = 0; i < 20; ++i) matrix[i] = rank * 100 + i, got[i] = -1;
  MPI_Request request;
  MPI_Irecv(got + 2, 1, column, from, 9, MPI_COMM_WORLD, &request);
  MPI_Type_free(&column);
  MPI_Type_vector(4, 1, 5, MPI_INT, &column);
  MPI_Type_commit(&column);
  MPI_Send(matrix + 1, 1, column, peer, 9, MPI_COMM_WORLD);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  MPI_Type_free(&column);
  printf("%d: column %d %d %d %d hole %d\n", rank, got[2], got[7], got[12], got[17], got[3]);
}

static void large(void) {
  const int n = 1 << 19, peer = size - 1 - rank;
  if (peer == rank) return;
  double* out = malloc(sizeof(double) * (size_t)n);
  double* in = malloc(sizeof(double) * (size_t)n);
  for (int i = 0; i < n; ++i) out[i] = rank + i, in[i] = 0;
  MPI_Request requests[2];
  MPI_Irecv(in, n, MPI_DOUBLE, peer, 4, MPI_COMM_WORLD, &requests[0]);
  MPI_Isend(out, n, MPI_DOUBLE, peer, 4, MPI_COMM_WORLD, &requests[1]);
  MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += in[i] - i;
  printf("%d: large %.0f\n", rank, sum);
  free(out), free(in);
}

static void persistent_inside(void) {
  MPI_Comm self;
  MPI_Comm_dup(MPI_COMM_SELF, &self);
  int out = 5, in = 0;
  MPI_Request requests[2];
  MPI_Recv_init(&in, 1, MPI_INT, 0, 0, self, &requests[0]);
  MPI_Send_init(&out, 1, MPI_INT, 0, 0, self, &requests[1]);
  for (int i = 0; i < 3; ++i) {
    out = 5 + i;
    MPI_Startall(2, requests);
    MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
  }
  printf("%d: persistent %d\n", rank, in);
  MPI_Request_free(&requests[0]);
  MPI_Request_free(&requests[1]);
  MPI_Comm_free(&self);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  static char buffer[1 << 16];
  MPI_Buffer_attach(buffer, sizeof buffer);
  ring_blocking();
  all_to_all_nonblocking();
  tags();
  sendrecv();
  derived();
  large();
  persistent_inside();
  void* detached;
  int bytes;
  MPI_Buffer_detach(&detached, &bytes);
  MPI_Finalize();
  return 0;
}
