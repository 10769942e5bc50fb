/* SPDX-License-Identifier: Apache-2.0
 * Heat along a rod, written against VeloC's header alone: each rank has a piece of the rod and exchanges its ends.
 *
 *   veloc_heat [--steps N] [--every N] [--config FILE] [--die RANK@STEP] [--files] [--keep-going]
 *
 * --files: the rod goes into a routed file of each rank, the counter is protected. --die: SIGKILL before that step,
 * if it comes there. --keep-going: a checkpoint that fails is told and not the end.
 * Rank 0 prints where it starts and the sum at the end with all digits; all ranks print failures.
 */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <veloc.h>

enum { kCells = 20000 };

static int rank, ranks, step;
static double rod[kCells + 2];

static void give_up(const char* what) {
  printf("%d: %s failed: %s\n", rank, what, rk_veloc_last_error());
  fflush(stdout);
  /* Every rank has failed, and has told why before any of them ends. MPI_Abort would lose what is still on its way from
   * them to who started the job. */
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Finalize();
  exit(3);
}

static int save_file(void) {
  char path[VELOC_MAX_NAME];
  FILE* file;
  int whole;
  if (VELOC_Route_file("state/rod.bin", path) != VELOC_SUCCESS) return 0;
  file = fopen(path, "wb");
  if (file == NULL) return 0;
  whole = fwrite(rod, sizeof rod, 1, file) == 1;
  return fclose(file) == 0 && whole;
}

static int load_file(void) {
  char path[VELOC_MAX_NAME];
  FILE* file;
  int whole;
  if (VELOC_Route_file("state/rod.bin", path) != VELOC_SUCCESS) return 0;
  file = fopen(path, "rb");
  if (file == NULL) return 0;
  whole = fread(rod, sizeof rod, 1, file) == 1 && fgetc(file) == EOF;
  return fclose(file) == 0 && whole;
}

static int take(int files) {
  int whole;
  if (!files) return VELOC_Checkpoint("heat", step);
  if (VELOC_Checkpoint_wait() != VELOC_SUCCESS) return VELOC_FAILURE;
  if (VELOC_Checkpoint_begin("heat", step) != VELOC_SUCCESS) return VELOC_FAILURE;
  whole = VELOC_Checkpoint_mem() == VELOC_SUCCESS && save_file();
  return VELOC_Checkpoint_end(whole);
}

static int restore(int files, int version) {
  int whole;
  if (!files) return VELOC_Restart("heat", version);
  if (VELOC_Restart_begin("heat", version) != VELOC_SUCCESS) return VELOC_FAILURE;
  whole = VELOC_Recover_mem() == VELOC_SUCCESS && load_file();
  return VELOC_Restart_end(whole);
}

static void advance(void) {
  static double next[kCells + 2];
  const int left = rank == 0 ? MPI_PROC_NULL : rank - 1;
  const int right = rank == ranks - 1 ? MPI_PROC_NULL : rank + 1;
  int i;
  MPI_Sendrecv(&rod[1], 1, MPI_DOUBLE, left, 1, &rod[kCells + 1], 1, MPI_DOUBLE, right, 1, MPI_COMM_WORLD,
               MPI_STATUS_IGNORE);
  MPI_Sendrecv(&rod[kCells], 1, MPI_DOUBLE, right, 2, &rod[0], 1, MPI_DOUBLE, left, 2, MPI_COMM_WORLD,
               MPI_STATUS_IGNORE);
  for (i = 1; i <= kCells; ++i) next[i] = rod[i] + 0.3 * (rod[i - 1] - 2 * rod[i] + rod[i + 1]);
  memcpy(&rod[1], &next[1], kCells * sizeof(double));
}

int main(int argc, char** argv) {
  int steps = 60, every = 10, die_rank = -1, die_step = -1, files = 0, keep_going = 0, version, i;
  const char* config = NULL;
  double sum = 0, all = 0;
  for (i = 1; i < argc; ++i) {
    if (strcmp(argv[i], "--files") == 0)
      files = 1;
    else if (strcmp(argv[i], "--keep-going") == 0)
      keep_going = 1;
    else if (i + 1 < argc && strcmp(argv[i], "--steps") == 0)
      steps = atoi(argv[++i]);
    else if (i + 1 < argc && strcmp(argv[i], "--every") == 0)
      every = atoi(argv[++i]);
    else if (i + 1 < argc && strcmp(argv[i], "--config") == 0)
      config = argv[++i];
    else if (i + 1 < argc && strcmp(argv[i], "--die") == 0 && sscanf(argv[i + 1], "%d@%d", &die_rank, &die_step) == 2)
      ++i;
    else
      return 2;
  }
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  for (i = 1; i <= kCells; ++i) rod[i] = (double)((i * 7919 + rank * 104729) % 1000);
  if (VELOC_Init(MPI_COMM_WORLD, config) != VELOC_SUCCESS) give_up("VELOC_Init");
  VELOC_Mem_protect(0, &step, 1, sizeof step);
  if (!files) VELOC_Mem_protect(7, rod, kCells + 2, sizeof(double));
  version = VELOC_Restart_test("heat", 0);
  if (version >= 0 && restore(files, version) != VELOC_SUCCESS) give_up("restart");
  if (version >= 0 && step != version) give_up("a step that is its version");
  if (rank == 0) printf("start at %d\n", step);
  fflush(stdout);
  while (step < steps) {
    if (rank == die_rank && step == die_step) raise(SIGKILL);
    advance();
    ++step;
    if (step % every != 0 || take(files) == VELOC_SUCCESS) continue;
    if (!keep_going) give_up("checkpoint");
    printf("%d: no checkpoint at %d: %s\n", rank, step, rk_veloc_last_error());
    fflush(stdout);
  }
  for (i = 1; i <= kCells; ++i) sum += rod[i] * i;
  MPI_Reduce(&sum, &all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) printf("sum %.17g\n", all);
  if (VELOC_Finalize(1) != VELOC_SUCCESS) give_up("VELOC_Finalize");
  MPI_Finalize();
  return 0;
}
