/* SPDX-License-Identifier: Apache-2.0
 * messages: an MPI program that also uses rk_send and rk_recv. In each round rank 0 gives a number to every process of
 * the other communities and takes their squares as they come, asks in vain for a message that nobody sends, and all add
 * up by MPI. A checkpoint every fifth round. */
#include <mpi.h>
#include <stdio.h>

#include "ringkeep/ringkeep.h"

enum { kRounds = 30, kTask = 1, kSquare = 2, kNever = 3, kPatienceMs = 60000 };

static int rank, size;
static rk_job* job;

static void check(int code, const char* what) {
  if (code == RK_OK) return;
  fprintf(stderr, "%d: %s: %s\n", rank, what, rk_last_error());
  MPI_Abort(MPI_COMM_WORLD, 1);
}

static long master(int round) {
  long sum = 0;
  for (int other = size / 2; other < size; ++other) {
    const long task = round * 100 + other;
    check(rk_send(job, (uint32_t)other, kTask, &task, sizeof task), "send a task");
  }
  for (int i = size / 2; i < size; ++i) {
    long square = 0;
    rk_message message = {.struct_size = sizeof message};
    check(rk_recv(job, RK_ANY_SOURCE, kSquare, &square, sizeof square, kPatienceMs, &message), "receive a square");
    printf("round %d: %ld from %u\n", round, square, (unsigned)message.source);
    sum += square;
  }
  long nothing = 0;
  if (rk_recv(job, RK_ANY_SOURCE, kNever, &nothing, sizeof nothing, 0, NULL) != RK_ERR_TIMEOUT)
    printf("wrong: a message that nobody sent\n");
  return sum;
}

static void worker(void) {
  long task = 0;
  check(rk_recv(job, 0, kTask, &task, sizeof task, kPatienceMs, NULL), "receive a task");
  task *= task;
  check(rk_send(job, 0, kSquare, &task, sizeof task), "send a square");
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int round = 0;
  long total = 0;
  uint64_t version = 0;
  check(rk_job_open(NULL, &job), "open the job");
  if (rank == 1) { /* shares rank 0's community */
    if (rk_send(job, 0, kTask, &round, sizeof round) != RK_ERR_UNSUPPORTED) printf("wrong: an inside message\n");
  }
  check(rk_job_protect(job, "round", &round, sizeof round), "protect");
  check(rk_job_protect(job, "total", &total, sizeof total), "protect");
  check(rk_job_restart_version(job, &version), "ask");
  if (version != 0) check(rk_job_restore(job), "restore");
  while (round < kRounds) {
    long own = 0, sum = 0;
    if (rank == 0) own = master(round);
    if (rank >= size / 2) worker();
    MPI_Allreduce(&own, &sum, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    total += sum;
    ++round;
    if (round % 5 == 0) check(rk_job_checkpoint(job, NULL), "take a checkpoint");
  }
  printf("%d: total %ld\n", rank, total);
  rk_job_close(job);
  MPI_Finalize();
  return 0;
}
