/* SPDX-License-Identifier: Apache-2.0
 * A small MPI program for the tests of `ringkeep run`: run_program MODE [ARGUMENT]
 *   steps N      N steps of 10 ms with a sum over all processes; rank 0 prints each
 *   exit CODE    every process ends with it, without MPI_Finalize
 *   abort CODE   rank 1 calls MPI_Abort
 *   cat          rank 0 prints its standard input, in capitals
 *   crash N      N steps, then rank 1 dies of SIGSEGV, in every life
 *   killed       rank 1 dies of SIGKILL in every life
 *   truncate     rank 1 gets a message of rank 0 that is too long, which is a fatal error
 *   varying N    as steps, but the lines hold the process's pid
 *   usr1         rank 0 waits for SIGUSR1, then all end
 *   where        each process prints its cores
 *   hold PLACE   as steps 1000, but rank 1 says so and stays at PLACE: init (before MPI_Init), restart (the same in its
 *                second life), replay (its second life, after the third step), finalize (before MPI_Finalize), end
 *                (after it); there are only 5 steps for the last two */
#define _GNU_SOURCE
#include <ctype.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t told = 0;
static void on_signal(int number) { told = number; }

static const char* place = "";
static void at(const char* here) {
  const char* rank = getenv("RINGKEEP_RANK");
  if (strcmp(place, here) != 0 || rank == NULL || strcmp(rank, "1") != 0) return;
  printf("held at %s\n", here);
  fflush(stdout);
  for (;;) pause();
}
static int second_life(void) {
  const char* life = getenv("RINGKEEP_INCARNATION");
  return life != NULL && strcmp(life, "2") == 0;
}

static void steps(int rank, int count, int varying) {
  for (int i = 0; i < count; ++i) {
    int mine = rank + i;
    if (i == 3 && second_life()) at("replay");
    int sum = 0;
    usleep(10000);
    MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0) printf("step %d sum %d pid %d\n", i, sum, varying ? (int)getpid() : 0);
    fflush(stdout);
  }
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "steps";
  const int number = argc > 2 ? atoi(argv[2]) : 10;
  int rank = 0;
  int size = 0;
  if (strcmp(mode, "hold") == 0 && argc > 2) place = argv[2];
  at("init");
  if (second_life()) at("restart");
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (strcmp(mode, "steps") == 0) steps(rank, number, 0);
  if (strcmp(mode, "hold") == 0) steps(rank, strcmp(place, "finalize") == 0 || strcmp(place, "end") == 0 ? 5 : 1000, 0);
  if (strcmp(mode, "varying") == 0) steps(rank, number, 1);
  if (strcmp(mode, "exit") == 0) {
    MPI_Barrier(MPI_COMM_WORLD);
    _exit(number);
  }
  if (strcmp(mode, "abort") == 0 && rank == 1) MPI_Abort(MPI_COMM_WORLD, number);
  if (strcmp(mode, "crash") == 0) steps(rank, number, 0);
  if (strcmp(mode, "crash") == 0 && rank == 1) raise(SIGSEGV);
  if (strcmp(mode, "killed") == 0 && rank == 1) raise(SIGKILL);
  if (strcmp(mode, "truncate") == 0 && rank < 2) {
    int four[4] = {0};
    if (rank == 0) MPI_Send(four, 4, MPI_INT, 1, 0, MPI_COMM_WORLD);
    if (rank == 1) MPI_Recv(four, 1, MPI_INT, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  if (strcmp(mode, "cat") == 0 && rank == 0)
    for (int c = getchar(); c != EOF; c = getchar()) putchar(toupper(c));
  if (strcmp(mode, "cat-crash") == 0 && rank == 0) {
    while (getchar() != EOF) continue;
    raise(SIGKILL);
  }
  if (strcmp(mode, "usr1") == 0 && rank == 0) {
    signal(SIGUSR1, on_signal);
    printf("waiting\n");
    fflush(stdout);
    while (!told) pause();
    printf("told %d\n", (int)told);
  }
  if (strcmp(mode, "where") == 0) {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    printf("rank %d of %d on %d cores, preload %s\n", rank, size, CPU_COUNT(&set), getenv("LD_PRELOAD") ? "yes" : "no");
    fflush(stdout);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  at("finalize");
  MPI_Finalize();
  at("end");
  if (rank == 0) printf("the end, without a newline");
  return 0;
}
