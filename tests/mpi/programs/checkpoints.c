/* SPDX-License-Identifier: Apache-2.0
 * checkpoints run: steps with messages and collectives within and across communities, a checkpoint every fifth step.
 * checkpoints talk: the same, and a restarted life prints more and other lines between the question and the restore.
 * checkpoints before CALL: the same, and a restarted life makes that call there.
 * checkpoints MISTAKE: what a checkpoint must refuse. Without a job (plain mpirun) it runs without checkpoints. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "ringkeep/ringkeep.h"

static int rank, size;

static void run(rk_job* job, int* step, double* value, MPI_Comm grid) {
  for (; *step < 40; ++*step) {
    const int right = (rank + 1) % size, left = (rank + size - 1) % size;
    double got = 0, sum = 0;
    MPI_Sendrecv(value, 1, MPI_DOUBLE, right, 1, &got, 1, MPI_DOUBLE, left, 1, grid, MPI_STATUS_IGNORE);
    MPI_Allreduce(&got, &sum, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    *value = (*value + got) / 2 + sum / 100;
    if (*step % 3 == 0) {
      if (rank == 0) {
        double any, total = 0;
        for (int i = 1; i < size; ++i) {
          MPI_Recv(&any, 1, MPI_DOUBLE, MPI_ANY_SOURCE, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
          total += (double)(long)(any * 1000);
        }
        printf("step %d total %.0f\n", *step, total);
      } else {
        MPI_Send(value, 1, MPI_DOUBLE, 0, 2, MPI_COMM_WORLD);
      }
    }
    printf("%d: step %d %.12f\n", rank, *step, *value);
    if (job != NULL && *step % 5 == 4) {
      ++*step; /* what is saved is the next step to do */
      const int code = rk_job_checkpoint(job, NULL);
      --*step;
      if (code != RK_OK) printf("%d: checkpoint failed: %s\n", rank, rk_last_error());
    }
  }
}

static void talk(uint64_t version) {
  if (version == 0) {
    printf("%d: no checkpoint found\n", rank);
    return;
  }
  for (int i = 0; i < 500; ++i) printf("%d: restoring version %d, part %d\n", rank, (int)version, i);
  printf("%d: not ended yet", rank);
}

/* Never returns in a restarted life: each of these reaches other communities. */
static void call_before_restore(const char* call, rk_job* job) {
  const int other = (rank + size / 2) % size;
  int value = 0, flag = 0;
  MPI_Request request;
  MPI_Message message;
  MPI_Comm comm;
  if (!strcmp(call, "MPI_Send")) MPI_Send(&value, 1, MPI_INT, other, 9, MPI_COMM_WORLD);
  if (!strcmp(call, "MPI_Isend")) MPI_Isend(&value, 1, MPI_INT, other, 9, MPI_COMM_WORLD, &request);
  if (!strcmp(call, "MPI_Recv")) MPI_Recv(&value, 1, MPI_INT, other, 9, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  if (!strcmp(call, "MPI_Irecv")) MPI_Irecv(&value, 1, MPI_INT, MPI_ANY_SOURCE, 9, MPI_COMM_WORLD, &request);
  if (!strcmp(call, "MPI_Iprobe")) MPI_Iprobe(MPI_ANY_SOURCE, 9, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
  if (!strcmp(call, "MPI_Improbe")) MPI_Improbe(other, 9, MPI_COMM_WORLD, &flag, &message, MPI_STATUS_IGNORE);
  if (!strcmp(call, "MPI_Allreduce")) MPI_Allreduce(&value, &flag, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  if (!strcmp(call, "MPI_Barrier")) MPI_Barrier(MPI_COMM_WORLD);
  if (!strcmp(call, "MPI_Comm_dup")) MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  if (!strcmp(call, "MPI_Finalize")) MPI_Finalize();
  if (!strcmp(call, "rk_send") && rk_send(job, (uint32_t)other, 9, &value, sizeof value) != RK_OK) {
    fprintf(stderr, "rk_send: %s\n", rk_last_error());
    MPI_Abort(MPI_COMM_WORLD, 78);
  }
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "run";
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm grid, late = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &grid);
  int step = 0;
  double value = rank + 1;
  /* Part of the prologue: repeated in each life. */
  MPI_Bcast(&value, 1, MPI_DOUBLE, 0, grid);
  value += rank;
  rk_job* job = NULL;
  uint64_t version = 0;
  if (rk_job_open(NULL, &job) != RK_OK) job = NULL;
  if (job != NULL) {
    rk_job_protect(job, "step", &step, sizeof step);
    rk_job_protect(job, "value", &value, sizeof value);
    if (strcmp(what, "unasked") != 0) {
      if (rk_job_restart_version(job, &version) != RK_OK) printf("%d: question: %s\n", rank, rk_last_error());
      if (strcmp(what, "talk") == 0) talk(version);
      if (strcmp(what, "before") == 0 && version != 0) call_before_restore(argv[2], job);
      if (version != 0 && rk_job_restore(job) != RK_OK) printf("%d: restore: %s\n", rank, rk_last_error());
    }
  }
  if (strcmp(what, "run") == 0 || strcmp(what, "talk") == 0 || strcmp(what, "before") == 0) {
    run(job, &step, &value, grid);
  } else if (job != NULL) {
    int in = 0;
    const int peer = rank ^ 1; /* in the same community: blocks of two */
    MPI_Request request = MPI_REQUEST_NULL;
    if (strcmp(what, "request") == 0 && rank == 1) MPI_Irecv(&in, 1, MPI_INT, 2, 5, MPI_COMM_WORLD, &request);
    if (strcmp(what, "undrained") == 0 && rank % 2 == 0) MPI_Send(&in, 1, MPI_INT, peer, 6, MPI_COMM_WORLD);
    if (strcmp(what, "communicator") == 0) MPI_Comm_dup(MPI_COMM_WORLD, &late);
    /* The other community's checkpoint is its own affair. */
    const int code = strcmp(what, "request") == 0 && rank > 1 ? RK_OK : rk_job_checkpoint(job, NULL);
    if (code != RK_OK)
      printf("%d: refused: %s\n", rank, rk_last_error());
    else if (strcmp(what, "request") == 0)
      printf("%d: refused: active requests of others do not matter here\n", rank);
    if (strcmp(what, "request") == 0) {
      if (rank == 2) MPI_Send(&in, 1, MPI_INT, 1, 5, MPI_COMM_WORLD);
      MPI_Wait(&request, MPI_STATUS_IGNORE);
    }
    if (strcmp(what, "undrained") == 0 && rank % 2 == 1)
      MPI_Recv(&in, 1, MPI_INT, peer, 6, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  if (job != NULL) rk_job_close(job);
  MPI_Finalize();
  return 0;
}
