/* SPDX-License-Identifier: Apache-2.0
 * Loaded in front of libringkeep (LD_PRELOAD): faults at a commit of a rank, from outside of the product.
 *
 *   VELOC_FAULT=RANK:COMMIT:KIND[,...]   commits of versions with data count, from 1
 *
 * die     SIGKILL in place of the commit, after all other ranks have done theirs: each writes a byte to the pipe
 *         VELOC_FAULT_PIPE
 * refuse  the version is given up and the server's refusal told
 * flip    a byte of the version is changed in the server's memory after the commit, through a second mapping
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ringkeep/ringkeep.h"

static rk_writer* with_data[64];
static int commits;

static void broken(const char* what) {
  perror(what);
  abort();
}

static int own_number(const char* first, const char* second) {
  const char* text = getenv(first);
  if (text == NULL) text = getenv(second);
  return text == NULL ? 0 : atoi(text);
}

static int own_rank(void) { return own_number("OMPI_COMM_WORLD_RANK", "PMI_RANK"); }
static int all_ranks(void) { return own_number("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"); }

/* The rank that has a fault of this kind at this commit, or -1. */
static int faulty(const char* kind, int commit, int of_rank) {
  const char* at = getenv("VELOC_FAULT");
  while (at != NULL && *at != '\0') {
    int rank, number;
    char found[16];
    if (sscanf(at, "%d:%d:%15[a-z]", &rank, &number, found) != 3) abort();
    if (number == commit && strcmp(found, kind) == 0 && (of_rank < 0 || of_rank == rank)) return rank;
    at = strchr(at, ',');
    if (at != NULL) ++at;
  }
  return -1;
}

static void await_others(void) {
  const int pipe_end = open(getenv("VELOC_FAULT_PIPE"), O_RDWR);
  char byte;
  int i;
  if (pipe_end < 0) broken("the pipe");
  for (i = 1; i < all_ranks(); ++i)
    if (read(pipe_end, &byte, 1) != 1) broken("read of the pipe");
}

static void tell_done(void) {
  const int pipe_end = open(getenv("VELOC_FAULT_PIPE"), O_RDWR);
  if (pipe_end < 0 || write(pipe_end, "x", 1) != 1) broken("write to the pipe");
  /* Open until the process ends: the byte stays in the pipe. */
}

int rk_begin(rk_client* client, const char* name, const rk_section* sections, size_t count, rk_writer** writer) {
  int (*next)(rk_client*, const char*, const rk_section*, size_t, rk_writer**);
  int code;
  size_t i;
  *(void**)&next = dlsym(RTLD_NEXT, "rk_begin");
  code = next(client, name, sections, count, writer);
  if (code != RK_OK || count < 2 || sections[1].size == 0) return code;
  for (i = 0; i < sizeof with_data / sizeof *with_data; ++i) {
    if (with_data[i] != NULL) continue;
    with_data[i] = *writer;
    return code;
  }
  abort();
}

void rk_abandon(rk_writer* writer) {
  void (*next)(rk_writer*);
  size_t i;
  *(void**)&next = dlsym(RTLD_NEXT, "rk_abandon");
  for (i = 0; i < sizeof with_data / sizeof *with_data; ++i)
    if (writer != NULL && with_data[i] == writer) with_data[i] = NULL;
  next(writer);
}

int rk_commit(rk_writer* writer, rk_level level, uint64_t* version) {
  int (*next)(rk_writer*, rk_level, uint64_t*);
  size_t i, size = 0;
  void *data = NULL, *again;
  int code, found = 0;
  *(void**)&next = dlsym(RTLD_NEXT, "rk_commit");
  for (i = 0; i < sizeof with_data / sizeof *with_data; ++i) {
    if (with_data[i] != writer) continue;
    with_data[i] = NULL;
    found = 1;
  }
  if (!found) return next(writer, level, version);
  ++commits;
  if (faulty("die", commits, own_rank()) >= 0) {
    await_others();
    raise(SIGKILL);
  }
  if (faulty("refuse", commits, own_rank()) >= 0) {
    rk_abandon(writer);
    return RK_ERR_UNAVAILABLE;
  }
  if (faulty("flip", commits, own_rank()) < 0) {
    code = next(writer, level, version);
    if (code == RK_OK && faulty("die", commits, -1) >= 0) tell_done();
    return code;
  }
  if (rk_writer_section(writer, "veloc.data", &data, &size) != RK_OK || size == 0) abort();
  again = mremap(data, 0, 4096, MREMAP_MAYMOVE); /* shared memory: a second mapping of the same pages */
  if (again == MAP_FAILED) broken("mremap");
  code = next(writer, level, version);
  if (code == RK_OK) *(unsigned char*)again ^= 1U;
  munmap(again, 4096);
  return code;
}
