/* SPDX-License-Identifier: Apache-2.0
 *
 * veloc.h: the names of VeloC's checkpoint interface, kept by Ringkeep. A program that was written for VeloC is linked
 * with libringkeep-veloc-openmpi or -mpich, whichever MPI it is built with, and runs beside the servers of a ring
 * (docs/veloc.md has what differs).
 *
 * Functions return VELOC_SUCCESS or VELOC_FAILURE, unless they say otherwise. A failure prints one line to standard
 * error on the rank that it concerns, and rk_veloc_last_error() has the words on every rank. They are called by one
 * thread at a time. "Collective": by all ranks of the communicator, in the same order, and the answer is the same on
 * all of them. A collective call after MPI itself has failed is an error too.
 *
 * Which version exists. A checkpoint of a rank is a set of names in the keep, its places, of which two are written in
 * turn: never the one that holds the newest version that all ranks are known to have. Whatever becomes of an attempt
 * (a rank dies before, in or after its commit, or one commit of many fails, any number of times in a row), every rank
 * still has that version, untouched; the other place has the attempt, or what it had before. Two versions suffice
 * therefore, and one name with its two newest versions would not: two attempts that fail in a row would push the last
 * complete version out on the ranks where they succeeded. A version is not its number alone but the attempt that all
 * ranks agreed on when it was begun; parts of different attempts at the same number are never taken for one version.
 */
/* It is C: NOLINTBEGIN(modernize-deprecated-headers,modernize-use-using,modernize-redundant-void-arg) */
#ifndef RINGKEEP_VELOC_H
#define RINGKEEP_VELOC_H

#include <mpi.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef VELOC_SUCCESS
#define VELOC_SUCCESS (0)
#endif
#ifndef VELOC_FAILURE
#define VELOC_FAILURE (-1)
#endif
#define VELOC_MAX_NAME (1024) /* bytes of a buffer for VELOC_Route_file */

#define VELOC_CKPT_ALL (0)
#define VELOC_CKPT_SOME (1)
#define VELOC_CKPT_REST (2)
#define VELOC_RECOVER_ALL (0)
#define VELOC_RECOVER_SOME (1)
#define VELOC_RECOVER_REST (2)

#define RK_VELOC_API __attribute__((visibility("default")))

/* Collective. After MPI_Init. The server is the node's own: $RINGKEEP_SOCKET, then the user's default. cfg_file: a
 * VeloC configuration, or NULL; docs/veloc.md says which keys count. Refused in a process of `ringkeep run`. */
RK_VELOC_API int VELOC_Init(MPI_Comm comm, const char* cfg_file);
/* This process alone, under an id that no other process of the user has for the same checkpoints. */
RK_VELOC_API int VELOC_Init_single(unsigned int id, const char* cfg_file);
/* Collective. Checkpoints stay. `drain` changes nothing: a checkpoint is complete when VELOC_Checkpoint_end returns. */
RK_VELOC_API int VELOC_Finalize(int drain);

/* The memory stays the caller's. An id that is protected already is replaced; count 0 ends its protection. */
RK_VELOC_API int VELOC_Mem_protect(int id, void* ptr, size_t count, size_t base_size);
RK_VELOC_API int VELOC_Mem_unprotect(int id);
RK_VELOC_API int VELOC_Mem_clear(void);

/* In a checkpoint: `routed` is where to write the file that is to be part of it. In a restart: where the file can be
 * read. `routed` has VELOC_MAX_NAME bytes. The file lies in shared memory, until the end of the phase. */
RK_VELOC_API int VELOC_Route_file(const char* original, char* routed);

/* Collective. name: 1 to 180 printable bytes. version: 0 or more. */
RK_VELOC_API int VELOC_Checkpoint_begin(const char* name, int version);
/* Copies protected memory: when it returns, the program may change it. An id is copied once a checkpoint. */
RK_VELOC_API int VELOC_Checkpoint_mem(void);
RK_VELOC_API int VELOC_Checkpoint_selective(int mode, int* ids, int id_count);
/* Collective. VELOC_SUCCESS: the version is complete on all ranks, each part in the memory of two servers. Else
 * VELOC_FAILURE on all, and the version before is what a restart finds. */
RK_VELOC_API int VELOC_Checkpoint_end(int success);
/* Collective. begin, mem, end. */
RK_VELOC_API int VELOC_Checkpoint(const char* name, int version);
/* What the last VELOC_Checkpoint_end returned; VELOC_SUCCESS if there was none. It never waits. */
RK_VELOC_API int VELOC_Checkpoint_wait(void);
/* 1: no checkpoint is under way. 0: one has begun and not ended. VELOC_FAILURE before VELOC_Init. */
RK_VELOC_API int VELOC_Checkpoint_finished(void);
RK_VELOC_API int VELOC_Backend_ready(void);

/* Collective. The highest version that is complete and undamaged on all ranks and not above `version` (0: no limit), or
 * VELOC_FAILURE: there is none, or it could not be found out. */
RK_VELOC_API int VELOC_Restart_test(const char* name, int version);
/* Collective. */
RK_VELOC_API int VELOC_Restart_begin(const char* name, int version);
/* Fills protected memory. Every id asked for must be protected and in the version, with the same size; all that is
 * refused is refused before any byte is changed. ALL: the ids of the version and those protected are the same. */
RK_VELOC_API int VELOC_Recover_mem(void);
RK_VELOC_API int VELOC_Recover_selective(int mode, int* ids, int id_count);
/* Bytes of a region in the version, or -1. */
RK_VELOC_API int VELOC_Recover_size(int id);
/* Collective. VELOC_SUCCESS if all ranks say success. */
RK_VELOC_API int VELOC_Restart_end(int success);
/* Collective. begin, mem, end. */
RK_VELOC_API int VELOC_Restart(const char* name, int version);

/* Collective. Removes all versions. */
RK_VELOC_API int VELOC_Cleanup(const char* name);

/* Not of VeloC: cause and cure of the last call that failed; "" if it did not. Never NULL; valid until the next call.
 */
RK_VELOC_API const char* rk_veloc_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
/* NOLINTEND(modernize-deprecated-headers,modernize-use-using,modernize-redundant-void-arg) */
