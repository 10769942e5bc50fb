/* SPDX-License-Identifier: Apache-2.0
 * VeloC's calls in the wrong order and with wrong arguments, each of which must fail with words and change nothing; and
 * what files, selections and sizes do. Prints "<rank>: as it should be" and nothing else, or what was wrong.
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <veloc.h>

static int rank, wrong;

static void check(int holds, const char* what, int line) {
  if (holds) return;
  printf("%d: line %d: %s; last words: %s\n", rank, line, what, rk_veloc_last_error());
  wrong = 1;
}
#define CHECK(holds) check(holds, #holds, __LINE__)
#define GOOD(call) check((call) == VELOC_SUCCESS, #call, __LINE__)

/* The call fails, and its words have this part. */
static void refused(int code, const char* part, const char* what, int line) {
  check(code == VELOC_FAILURE, what, line);
  if (strstr(rk_veloc_last_error(), part) == NULL) check(0, part, line);
}
#define REFUSED(call, part) refused(call, part, #call, __LINE__)

static void write_file(const char* path, const char* text) {
  FILE* file = fopen(path, "w");
  CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void read_file(const char* path, const char* text) {
  char found[64] = "";
  FILE* file = fopen(path, "r");
  CHECK(file != NULL && fgets(found, sizeof found, file) != NULL);
  CHECK(strcmp(found, text) == 0);
  if (file != NULL) fclose(file);
}

static void before_init(void) {
  int value = 0;
  REFUSED(VELOC_Checkpoint("calls", 1), "VELOC_Init");
  REFUSED(VELOC_Mem_protect(0, &value, 1, sizeof value), "VELOC_Init");
  REFUSED(VELOC_Restart_test("calls", 0), "VELOC_Init");
  REFUSED(VELOC_Checkpoint_finished(), "VELOC_Init");
  REFUSED(VELOC_Finalize(0), "VELOC_Init");
  REFUSED(VELOC_Init(MPI_COMM_WORLD, "/nonexistent/veloc.cfg"), "/nonexistent/veloc.cfg");
}

static void out_of_order(void) {
  char path[VELOC_MAX_NAME];
  REFUSED(VELOC_Init(MPI_COMM_WORLD, NULL), "before");
  REFUSED(VELOC_Checkpoint_mem(), "VELOC_Checkpoint_begin");
  REFUSED(VELOC_Checkpoint_end(1), "VELOC_Checkpoint_begin");
  REFUSED(VELOC_Recover_mem(), "VELOC_Restart_begin");
  REFUSED(VELOC_Recover_size(1), "VELOC_Restart_begin");
  REFUSED(VELOC_Restart_end(1), "VELOC_Restart_begin");
  REFUSED(VELOC_Route_file("f", path), "within a checkpoint or a restart");
  REFUSED(VELOC_Restart_test("calls", 0), "no version");
  REFUSED(VELOC_Restart("calls", 3), "not complete");
  REFUSED(VELOC_Checkpoint_begin("", 1), "name");
  REFUSED(VELOC_Checkpoint_begin(NULL, 1), "name");
  REFUSED(VELOC_Checkpoint_begin("a\nb", 1), "name");
  REFUSED(VELOC_Checkpoint_begin("calls", -1), "negative");
  CHECK(VELOC_Checkpoint_finished() == 1 && VELOC_Backend_ready() == 1);
  GOOD(VELOC_Checkpoint_wait());
}

static void in_a_checkpoint(int* values) {
  int three = 3, nine = 9;
  GOOD(VELOC_Mem_protect(1, &values[0], 1, sizeof(int)));
  GOOD(VELOC_Mem_protect(2, &values[1], 2, sizeof(int)));
  GOOD(VELOC_Mem_protect(3, &values[3], 1, sizeof(int)));
  REFUSED(VELOC_Mem_protect(4, values, SIZE_MAX, 2), "more bytes");
  REFUSED(VELOC_Mem_protect(4, NULL, 1, 2), "NULL");
  REFUSED(VELOC_Mem_unprotect(4), "no memory");
  GOOD(VELOC_Checkpoint_begin("calls", 5));
  CHECK(VELOC_Checkpoint_finished() == 0);
  REFUSED(VELOC_Checkpoint_wait(), "has begun");
  REFUSED(VELOC_Checkpoint_begin("calls", 6), "VELOC_Checkpoint_end");
  REFUSED(VELOC_Restart_test("calls", 0), "VELOC_Checkpoint_end");
  REFUSED(VELOC_Recover_mem(), "VELOC_Restart_begin");
  GOOD(VELOC_Checkpoint_selective(VELOC_CKPT_REST, &three, 1));
  values[0] = -1; /* it has been copied */
  GOOD(VELOC_Checkpoint_selective(VELOC_CKPT_SOME, &three, 1));
  GOOD(VELOC_Checkpoint_end(1));
  GOOD(VELOC_Checkpoint_wait());
  /* A call that fails spoils its checkpoint, whatever the program says at its end. */
  GOOD(VELOC_Checkpoint_begin("calls", 6));
  GOOD(VELOC_Checkpoint_mem());
  REFUSED(VELOC_Checkpoint_selective(VELOC_CKPT_SOME, &nine, 1), "as 9");
  REFUSED(VELOC_Checkpoint_end(1), "as 9");
  REFUSED(VELOC_Checkpoint_wait(), "as 9");
  GOOD(VELOC_Checkpoint_begin("calls", 6));
  REFUSED(VELOC_Checkpoint_selective(5, &nine, 1), "mode 5");
  REFUSED(VELOC_Checkpoint_end(1), "mode 5");
  /* One rank alone says no: nobody has the version. */
  GOOD(VELOC_Checkpoint_begin("calls", 7));
  GOOD(VELOC_Checkpoint_mem());
  REFUSED(VELOC_Checkpoint_end(rank != 0), rank == 0 ? "not whole" : "rank 0");
  CHECK(VELOC_Restart_test("calls", 0) == 5);
}

static void in_a_restart(int* values) {
  int other[4] = {70, 71, 72, 73}, one = 1, four = 4;
  CHECK(VELOC_Restart_test("calls", 4) == VELOC_FAILURE);
  CHECK(VELOC_Restart_test("calls", 5) == 5);
  REFUSED(VELOC_Restart_begin("calls", 4), "not complete");
  GOOD(VELOC_Restart_begin("calls", 5));
  REFUSED(VELOC_Checkpoint_begin("calls", 8), "VELOC_Restart_end");
  REFUSED(VELOC_Checkpoint_mem(), "VELOC_Checkpoint_begin");
  CHECK(VELOC_Recover_size(2) == 2 * (int)sizeof(int));
  REFUSED(VELOC_Recover_size(4), "no region 4");
  GOOD(VELOC_Mem_protect(2, other, 4, sizeof(int))); /* larger than what was saved */
  REFUSED(VELOC_Recover_mem(), "region 2 has 8 bytes in the version and 16 here");
  CHECK(values[0] == -1 && other[0] == 70 && other[3] == 73); /* not the good regions either */
  GOOD(VELOC_Mem_protect(2, other, 1, sizeof(int)));          /* smaller */
  REFUSED(VELOC_Recover_mem(), "region 2 has 8 bytes in the version and 4 here");
  GOOD(VELOC_Mem_protect(2, other, 2, sizeof(int)));
  GOOD(VELOC_Mem_protect(4, &other[3], 1, sizeof(int)));
  REFUSED(VELOC_Recover_mem(), "no region 4");
  REFUSED(VELOC_Recover_selective(VELOC_RECOVER_SOME, &four, 1), "no region 4");
  GOOD(VELOC_Mem_unprotect(4));
  GOOD(VELOC_Mem_protect(3, &values[3], 0, sizeof(int))); /* no memory: protected no more */
  REFUSED(VELOC_Recover_mem(), "protected as 3");
  GOOD(VELOC_Recover_selective(VELOC_RECOVER_SOME, &one, 1));
  CHECK(values[0] == rank + 100 && other[0] == 70);
  GOOD(VELOC_Mem_protect(3, &values[3], 1, sizeof(int)));
  values[0] = values[3] = 0;
  GOOD(VELOC_Recover_selective(VELOC_RECOVER_REST, &one, 1));
  CHECK(values[0] == 0 && other[0] == rank + 101 && other[1] == rank + 102 && values[3] == rank + 103);
  REFUSED(VELOC_Restart_end(rank != 0), rank == 0 ? "not restored" : "rank 0");
}

static void with_files(void) {
  char path[VELOC_MAX_NAME], same[VELOC_MAX_NAME];
  char text[64];
  snprintf(text, sizeof text, "rank %d wrote this", rank);
  VELOC_Mem_clear();
  GOOD(VELOC_Checkpoint_begin("files", 1));
  GOOD(VELOC_Route_file("out/a.txt", path));
  GOOD(VELOC_Route_file("out/a.txt", same));
  CHECK(strcmp(path, same) == 0 && strcmp(path + strlen(path) - 4, ".txt") == 0);
  write_file(path, text);
  GOOD(VELOC_Route_file("out/empty", same));
  write_file(same, "");
  GOOD(VELOC_Checkpoint_end(1));
  CHECK(access(path, F_OK) != 0);
  GOOD(VELOC_Restart_begin("files", 1));
  REFUSED(VELOC_Route_file("out/b.txt", same), "no file");
  GOOD(VELOC_Route_file("out/a.txt", path));
  read_file(path, text);
  GOOD(VELOC_Route_file("out/empty", same));
  CHECK(access(same, F_OK) == 0);
  GOOD(VELOC_Restart_end(1));
  CHECK(access(path, F_OK) != 0);
  /* Routed, and never written. */
  GOOD(VELOC_Checkpoint_begin("files", 2));
  GOOD(VELOC_Route_file("out/never", path));
  REFUSED(VELOC_Checkpoint_end(1), "never");
  CHECK(VELOC_Restart_test("files", 0) == 1);
  GOOD(VELOC_Cleanup("files"));
  REFUSED(VELOC_Restart_test("files", 0), "no version");
}

static void apart(void) {
  REFUSED(VELOC_Checkpoint_begin("calls", rank), "different names or versions");
  REFUSED(VELOC_Checkpoint_begin(rank == 0 ? "calls" : "others", 1), "different names or versions");
  if (rank == 0)
    REFUSED(VELOC_Restart_test("calls", 0), "different calls");
  else
    REFUSED(VELOC_Checkpoint_begin("calls", 0), "different calls");
}

static void alone(void) {
  int value = rank + 40;
  GOOD(VELOC_Init_single((unsigned)rank + 1000, NULL));
  GOOD(VELOC_Mem_protect(0, &value, 1, sizeof value));
  if (rank == 0) GOOD(VELOC_Checkpoint("single", 2)); /* the others are not asked */
  value = 0;
  if (rank == 0) {
    CHECK(VELOC_Restart_test("single", 0) == 2);
    GOOD(VELOC_Restart("single", 2));
    CHECK(value == 40);
    GOOD(VELOC_Cleanup("single"));
  } else {
    REFUSED(VELOC_Restart_test("single", 0), "no version");
  }
  GOOD(VELOC_Checkpoint_begin("single", 3));
  REFUSED(VELOC_Finalize(0), "given up");
}

int main(int argc, char** argv) {
  int values[4], i;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  for (i = 0; i < 4; ++i) values[i] = rank + 100 + i;
  before_init();
  GOOD(VELOC_Init(MPI_COMM_WORLD, argc > 1 ? argv[1] : NULL));
  out_of_order();
  in_a_checkpoint(values);
  in_a_restart(values);
  with_files();
  apart();
  GOOD(VELOC_Cleanup("calls"));
  GOOD(VELOC_Finalize(0));
  alone();
  if (!wrong) printf("%d: as it should be\n", rank);
  MPI_Finalize();
  return wrong;
}
