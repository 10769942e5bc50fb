/* SPDX-License-Identifier: Apache-2.0
 * yields: every process yields in a loop for a second, as an MPI library does that waits on a shared core, and says
 * whether it slept (voluntary switches; a yield is none) or whether the yields themselves gave the core away. */
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

static const double kLength_s = 1.0, kGiven_s = 20e-6;

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Barrier(MPI_COMM_WORLD);
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  const double start = MPI_Wtime();
  double now = start;
  long yields = 0;
  while (now - start < kLength_s) {
    for (int i = 0; i < 100; ++i) sched_yield();
    yields += 100;
    now = MPI_Wtime();
  }
  getrusage(RUSAGE_SELF, &after);
  const long slept = after.ru_nvcsw - before.ru_nvcsw;
  const double each = (now - start) / (double)yields;
  printf("%d: %s\n", rank, slept > 100 || each > kGiven_s ? "others had the core" : "yielded in vain");
  fprintf(stderr, "%d: %ld yields of %.1f us, %ld sleeps\n", rank, yields, each * 1e6, slept);
  MPI_Finalize();
  return 0;
}
