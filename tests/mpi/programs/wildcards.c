/* SPDX-License-Identifier: Apache-2.0
 * Receives from anywhere: blocking, nonblocking, probed, matched, behind each other. What is printed does not depend on
 * the order of arrival; --order prints that order too. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size, show_order;

static void blocking(void) {
  if (rank == 0) {
    long sum = 0;
    for (int i = 0; i < (size - 1) * 20; ++i) {
      int value;
      MPI_Status status;
      MPI_Recv(&value, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
      if (value / 1000 != status.MPI_SOURCE || value % 1000 != status.MPI_TAG) printf("wrong: %d\n", value);
      sum += value;
      if (show_order) printf("blocking %d\n", value);
    }
    printf("blocking %ld\n", sum);
  } else {
    for (int i = 0; i < 20; ++i) {
      int value = rank * 1000 + i;
      MPI_Send(&value, 1, MPI_INT, 0, i, MPI_COMM_WORLD);
    }
  }
}

/* A named receive behind a wildcard one with the same tag must stay behind it. */
static void overlapping(void) {
  int values[3] = {-1, -1, -1};
  MPI_Request requests[3];
  MPI_Status statuses[3];
  if (rank == 0) {
    MPI_Irecv(&values[0], 1, MPI_INT, MPI_ANY_SOURCE, 40, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(&values[1], 1, MPI_INT, 1, 40, MPI_COMM_WORLD, &requests[1]);
    MPI_Irecv(&values[2], 1, MPI_INT, 1, 41, MPI_COMM_WORLD, &requests[2]);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Waitall(3, requests, statuses);
    printf("overlapping %d %d %d from %d %d %d\n", values[0], values[1], values[2], statuses[0].MPI_SOURCE,
           statuses[1].MPI_SOURCE, statuses[2].MPI_SOURCE);
    /* The wildcard is completed first; the one behind it is still open then. */
    MPI_Irecv(&values[0], 1, MPI_INT, MPI_ANY_SOURCE, 42, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(&values[1], 1, MPI_INT, 1, 42, MPI_COMM_WORLD, &requests[1]);
    MPI_Send(&values[0], 1, MPI_INT, 1, 43, MPI_COMM_WORLD);
    MPI_Wait(&requests[0], MPI_STATUS_IGNORE);
    MPI_Send(&values[0], 1, MPI_INT, 1, 43, MPI_COMM_WORLD);
    MPI_Waitall(1, &requests[1], MPI_STATUSES_IGNORE);
    printf("behind %d %d\n", values[0], values[1]);
  } else {
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 1) {
      int out[3] = {7, 8, 9};
      MPI_Send(&out[2], 1, MPI_INT, 0, 41, MPI_COMM_WORLD);
      MPI_Send(&out[0], 1, MPI_INT, 0, 40, MPI_COMM_WORLD);
      MPI_Send(&out[1], 1, MPI_INT, 0, 40, MPI_COMM_WORLD);
      for (int i = 0; i < 2; ++i) {
        int go;
        MPI_Recv(&go, 1, MPI_INT, 0, 43, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Send(&out[i], 1, MPI_INT, 0, 42, MPI_COMM_WORLD);
      }
    }
  }
}

/* Large messages in both directions while a wildcard receive is open: nobody may block for good. */
static void crossing(void) {
  const int n = 200000, next = (rank + 1) % size;
  double* in = malloc(sizeof(double) * (size_t)n);
  double* out = malloc(sizeof(double) * (size_t)n);
  for (int i = 0; i < n; ++i) out[i] = rank;
  MPI_Request request;
  MPI_Status status;
  MPI_Irecv(in, n, MPI_DOUBLE, MPI_ANY_SOURCE, 50, MPI_COMM_WORLD, &request);
  MPI_Send(out, n, MPI_DOUBLE, next, 50, MPI_COMM_WORLD);
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Wait(&request, &status);
  int count;
  MPI_Get_count(&status, MPI_DOUBLE, &count);
  printf("crossing %d: %.0f from %d, %d\n", rank, in[n - 1], status.MPI_SOURCE, count);
  free(in), free(out);
}

static void probes(void) {
  if (rank == size - 1) {
    long bytes = 0;
    for (int i = 0; i < size - 1; ++i) {
      MPI_Status status;
      int count, flag = 0;
      char buffer[256];
      if (i % 2 == 0)
        MPI_Probe(MPI_ANY_SOURCE, 60, MPI_COMM_WORLD, &status);
      else
        while (!flag) MPI_Iprobe(MPI_ANY_SOURCE, 60, MPI_COMM_WORLD, &flag, &status);
      MPI_Get_count(&status, MPI_CHAR, &count);
      MPI_Recv(buffer, count, MPI_CHAR, status.MPI_SOURCE, 60, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      if (count != status.MPI_SOURCE + 1 || buffer[0] != 'a' + status.MPI_SOURCE) printf("wrong probe\n");
      if (show_order) printf("probed %d\n", status.MPI_SOURCE);
      bytes += count;
    }
    for (int i = 0; i < size - 1; ++i) {
      MPI_Message message;
      MPI_Status status;
      char buffer[256];
      int count, flag = 0;
      if (i % 2 == 0)
        MPI_Mprobe(MPI_ANY_SOURCE, 61, MPI_COMM_WORLD, &message, &status);
      else
        while (!flag) MPI_Improbe(MPI_ANY_SOURCE, 61, MPI_COMM_WORLD, &flag, &message, &status);
      MPI_Get_count(&status, MPI_CHAR, &count);
      if (i % 3 == 0) {
        MPI_Request request;
        MPI_Imrecv(buffer, count, MPI_CHAR, &message, &request);
        MPI_Wait(&request, &status);
      } else {
        MPI_Mrecv(buffer, count, MPI_CHAR, &message, &status);
      }
      if (count != status.MPI_SOURCE + 1 || buffer[0] != 'A' + status.MPI_SOURCE || message != MPI_MESSAGE_NULL)
        printf("wrong matched probe\n");
      if (show_order) printf("matched %d\n", status.MPI_SOURCE);
      bytes += count;
    }
    printf("probes %ld\n", bytes);
  } else {
    char buffer[256];
    memset(buffer, 'a' + rank, sizeof buffer);
    MPI_Send(buffer, rank + 1, MPI_CHAR, size - 1, 60, MPI_COMM_WORLD);
    memset(buffer, 'A' + rank, sizeof buffer);
    MPI_Send(buffer, rank + 1, MPI_CHAR, size - 1, 61, MPI_COMM_WORLD);
  }
}

/* The choice among requests: waitany, waitsome, testany, testsome, test, testall. */
static void choices(void) {
  const int n = 6 * (size - 1);
  int* values = calloc((size_t)n, sizeof(int));
  MPI_Request* requests = malloc(sizeof(MPI_Request) * (size_t)n);
  int* indices = malloc(sizeof(int) * (size_t)n);
  MPI_Status* statuses = malloc(sizeof(MPI_Status) * (size_t)n);
  if (rank == 0) {
    for (int i = 0; i < n; ++i)
      MPI_Irecv(&values[i], 1, MPI_INT, i % 2 == 0 ? MPI_ANY_SOURCE : 1 + i % (size - 1), 70 + i, MPI_COMM_WORLD,
                &requests[i]);
    int left = n;
    while (left > 0) {
      int index = 0, flag = 0, count = 0;
      MPI_Status status;
      MPI_Waitany(n, requests, &index, &status);
      if (show_order) printf("waitany %d from %d\n", index, status.MPI_SOURCE);
      if (values[index] != index * 10 || requests[index] != MPI_REQUEST_NULL) printf("wrong waitany\n");
      --left;
      MPI_Testany(n, requests, &index, &flag, &status);
      if (flag && index != MPI_UNDEFINED) --left;
      if (show_order) printf("testany %d %d\n", flag, index);
      if (left > 0) {
        MPI_Waitsome(n, requests, &count, indices, statuses);
        for (int i = 0; i < count; ++i)
          if (values[indices[i]] != indices[i] * 10) printf("wrong waitsome\n");
        left -= count;
        if (show_order) printf("waitsome %d\n", count);
      }
      MPI_Testsome(n, requests, &count, indices, statuses);
      if (count != MPI_UNDEFINED) left -= count;
      if (show_order) printf("testsome %d\n", count);
    }
    int index = 0;
    MPI_Waitany(n, requests, &index, MPI_STATUS_IGNORE);
    printf("choices %d %d\n", left, index == MPI_UNDEFINED);
  } else {
    for (int i = 0; i < n; ++i) {
      int value = i * 10;
      const int sender = i % 2 == 0 ? 1 + (i / 2) % (size - 1) : 1 + i % (size - 1);
      if (sender == rank) MPI_Send(&value, 1, MPI_INT, 0, 70 + i, MPI_COMM_WORLD);
    }
  }
  MPI_Barrier(MPI_COMM_WORLD);
  int in = -1, out = rank, flag = 0, looks = 0;
  MPI_Request pair[2];
  MPI_Irecv(&in, 1, MPI_INT, (rank + size - 1) % size, 200, MPI_COMM_WORLD, &pair[0]);
  MPI_Isend(&out, 1, MPI_INT, (rank + 1) % size, 200, MPI_COMM_WORLD, &pair[1]);
  while (!flag) {
    MPI_Request_get_status(pair[0], &flag, MPI_STATUS_IGNORE);
    ++looks;
  }
  if (show_order) printf("looks %d\n", looks);
  flag = 0;
  while (!flag) MPI_Testall(2, pair, &flag, MPI_STATUSES_IGNORE);
  printf("testall %d: %d\n", rank, in);
  MPI_Irecv(&in, 1, MPI_INT, MPI_ANY_SOURCE, 201, MPI_COMM_WORLD, &pair[0]);
  MPI_Isend(&out, 1, MPI_INT, (rank + size - 1) % size, 201, MPI_COMM_WORLD, &pair[1]);
  flag = 0;
  MPI_Status status;
  while (!flag) MPI_Test(&pair[0], &flag, &status);
  MPI_Wait(&pair[1], MPI_STATUS_IGNORE);
  printf("test %d: %d from %d\n", rank, in, status.MPI_SOURCE);
  MPI_Request never;
  MPI_Irecv(&in, 1, MPI_INT, MPI_ANY_SOURCE, 999, MPI_COMM_WORLD, &never);
  MPI_Cancel(&never);
  MPI_Wait(&never, &status);
  MPI_Test_cancelled(&status, &flag);
  printf("cancel %d: %d\n", rank, flag);
  free(values), free(requests), free(indices), free(statuses);
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  show_order = argc > 1 && strcmp(argv[1], "--order") == 0;
  for (int round = 0; round < (show_order ? 20 : 2); ++round) {
    blocking();
    overlapping();
    crossing();
    probes();
    choices();
  }
  MPI_Finalize();
  return 0;
}
