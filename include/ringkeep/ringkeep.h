/* SPDX-License-Identifier: Apache-2.0
 *
 * ringkeep.h: the C interface of Ringkeep, and its only binary promise (SONAME libringkeep.so.0).
 *
 * Checkpoints: a named set of sections that becomes visible whole, at commit, or not at all, and that lives in the
 * memory of this node's server and of that server's predecessor in the ring.
 * Jobs: a process started by `ringkeep run` takes checkpoints together with its community, restores the newest one
 * after a failure, and exchanges logged messages with processes of other communities.
 *
 * Every function returns RK_OK or one of RK_ERR_*; rk_last_error() has the words. Handles are opaque and belong to the
 * caller until the function that ends them. A handle may be used by one thread at a time; different handles by
 * different threads at the same time. Every wait is bounded by the timeout of the handle or of the call.
 * Structs that the caller fills begin with struct_size = sizeof(struct), so that they can grow.
 */
/* It is C: NOLINTBEGIN(modernize-deprecated-headers,modernize-use-using) */
#ifndef RINGKEEP_H
#define RINGKEEP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RK_API __attribute__((visibility("default")))

/* Error codes. Append-only. */
enum rk_error {
  RK_OK = 0,
  RK_ERR_INVALID_ARGUMENT = 1,
  RK_ERR_NOT_FOUND = 2,
  RK_ERR_NO_MEMORY = 3,   /* a budget, quota or limit would be exceeded; nothing was changed */
  RK_ERR_UNAVAILABLE = 4, /* no server, no quorum, or not inside a job; nothing was changed */
  RK_ERR_TIMEOUT = 5,     /* no answer in time: the outcome is unknown */
  RK_ERR_CORRUPT = 6,
  RK_ERR_VERSION_MISMATCH = 7,
  RK_ERR_WRONG_CLUSTER = 8,
  RK_ERR_FENCED = 9, /* a newer incarnation of this process or community exists */
  RK_ERR_PERMISSION = 10,
  RK_ERR_IO = 11,
  /* Every copy of what was asked for is gone or damaged. Of version 0: the newest version is, or may be, for nobody is
   * left who must know it. Older ones can be read by their numbers; the next commit ends it. */
  RK_ERR_LOST = 12,
  RK_ERR_DIVERGENCE = 13,
  RK_ERR_UNSUPPORTED = 14,
  RK_ERR_EXISTS = 15,
  RK_ERR_PEER_GONE = 16 /* the server ended, or the ring went on without it; connect again */
};

/* "not-found" and the like; never NULL, never freed. */
RK_API const char* rk_error_name(int code);
/* Cause and cure of the last failure of a call by this thread; "" if none. Valid until this thread's next call. */
RK_API const char* rk_last_error(void);
/* Release of the library, "0.1.0". */
RK_API const char* rk_version(void);

/* ---- connection ---- */

typedef struct rk_client rk_client;

typedef struct rk_options {
  size_t struct_size;
  const char* socket_path; /* NULL: $RINGKEEP_SOCKET, then the user's default */
  const char* program;     /* for people, shown by `ringkeep status`; NULL: the program's name */
  uint32_t timeout_ms;     /* bound of each wait; 0: 10,000 */
  /* Not 0: this process must not go on when its server may be out of the ring, because another one may do its work
   * then. While the connection is open, the guard of the node kills it (SIGKILL) once the server has had no lease for 5
   * s: it is stopped, hangs, was killed, or lost its ring. Processes of a job are fenced without asking. */
  uint32_t fenced;
} rk_options;

/* Connects to this node's server. options may be NULL. */
RK_API int rk_open(const rk_options* options, rk_client** client);
/* Ends the connection; writers and readers of the client must be ended before. NULL is allowed. */
RK_API void rk_close(rk_client* client);

/* ---- writing a checkpoint ---- */

typedef struct rk_writer rk_writer;

typedef struct rk_section {
  const char* name; /* 1 to 255 bytes, printable */
  size_t size;      /* bytes; 0 is allowed */
} rk_section;

typedef enum rk_level
#ifdef __cplusplus
    : int /* a value that is no level is an error that is told, as in C, and not undefined */
#endif
{
  /* In this server's memory. If the server is lost, reads give the newest replicated version, and do not miss this. */
  RK_LEVEL_LOCAL = 0,
  RK_LEVEL_REPLICATED = 1 /* And complete, checksummed, in its predecessor's. */
} rk_level;

/* Takes shared memory for the next version of `name`. Nothing is visible before rk_commit. */
RK_API int rk_begin(rk_client* client, const char* name, const rk_section* sections, size_t count, rk_writer** writer);
/* Where to write a section in place: `*data` has the section's size, is aligned to 4096 bytes and writable until
 * rk_commit or rk_abandon. */
RK_API int rk_writer_section(rk_writer* writer, const char* section, void** data, size_t* size);
/* Commits and ends the writer, whatever it returns. RK_OK: the version is committed at that level, `*version` is its
 * number (NULL allowed). RK_ERR_TIMEOUT: unknown, a later read tells. Any other code: the version does not exist.
 * A server may say OK only under its lease from the ring, which it tells with its answer. An answer that this process
 * takes later (it was stopped, or had no processor) does not count: the server is asked again, and RK_ERR_TIMEOUT says
 * that it could not confirm the version. Client and server share CLOCK_BOOTTIME: put both into one time namespace. */
RK_API int rk_commit(rk_writer* writer, rk_level level, uint64_t* version);
/* Ends the writer without a version. NULL is allowed. */
RK_API void rk_abandon(rk_writer* writer);
/* rk_begin, copy, rk_commit at RK_LEVEL_REPLICATED of one section named "data". */
RK_API int rk_put(rk_client* client, const char* name, const void* data, size_t size, uint64_t* version);

/* ---- commits that nobody waits for ----
 *
 * Each is handed over with a tag of the caller's, and has exactly one outcome, which rk_outcomes takes later, whatever
 * becomes of the server. At most RK_MAX_IN_FLIGHT of a client have no outcome, or one that was not taken yet; versions
 * that it is writing count too. Commits of one name get rising versions in the order of the calls; of those that wait
 * for the same server, several travel together. All other calls of the client work meanwhile. After rk_close nobody
 * hears the outcomes: what was handed over goes on. */

#define RK_MAX_IN_FLIGHT 256

typedef struct rk_async_options {
  size_t struct_size;
  uint32_t timeout_ms; /* bound of the outcome; 0: the handle's */
  /* Not 0: the caller has another one to hand over at once, and this one may stay in the process until then: until a
   * call without `more`, rk_outcomes, any other call of the client that talks to the server, or 64 KiB. */
  uint32_t more;
} rk_async_options;

/* As rk_put at `level`, without the outcome. Copies the data. Waits for nothing but room in the socket, at most the
 * handle's timeout; more than 64 KiB of data wait for the server's memory first, as rk_begin does. Any code but RK_OK:
 * nothing was changed, and the tag has no outcome (RK_ERR_NO_MEMORY: take outcomes first). options may be NULL. */
RK_API int rk_put_async(rk_client* client, const char* name, const void* data, size_t size, rk_level level,
                        uint64_t tag, const rk_async_options* options);
/* As rk_commit, without the outcome. Waits for nothing but room in the socket, at most the handle's timeout. RK_OK ends
 * the writer; after any other code it is as before, and the tag has no outcome. options may be NULL. */
RK_API int rk_commit_async(rk_writer* writer, rk_level level, uint64_t tag, const rk_async_options* options);

typedef struct rk_outcome {
  uint64_t tag;
  uint64_t version;  /* 0 unless RK_OK */
  int code;          /* of rk_commit: RK_ERR_TIMEOUT: unknown; any other but RK_OK: the version does not exist */
  const char* words; /* cause and cure; "" with RK_OK. The client's, until its next rk_outcomes or rk_close */
} rk_outcome;

/* Takes the outcomes that are there, at most `capacity`, in any order; `*count` says how many. If there is none, waits
 * for the first, at most timeout_ms (0: it does not wait). It does not wait when nothing is in flight. An OK counts as
 * one of rk_commit does: after the server's lease has ended the server is asked again, and the outcome comes with its
 * answer. RK_ERR_PEER_GONE and the like: the connection has ended, and all outcomes were taken. */
RK_API int rk_outcomes(rk_client* client, rk_outcome* outcomes, size_t capacity, size_t* count, uint32_t timeout_ms);
/* For poll, select, epoll and event loops: readable when rk_outcomes may have something, also when another call of the
 * client took it in, when a timeout is over, and when the server has gone. It stays readable until rk_outcomes has
 * given all that is there. The client's, until rk_close: never read from it or close it. Waits for nothing. */
RK_API int rk_descriptor(rk_client* client, int* descriptor);

/* ---- reading ---- */

typedef struct rk_reader rk_reader;

/* Maps a committed version read-only; version 0 is the newest. Checksums are verified before it returns. What is
 * mapped stays as it is until rk_reader_close, whatever is committed meanwhile. An answer that is taken after the
 * server's lease has ended is asked for again, until the handle's timeout (RK_ERR_TIMEOUT). Bytes that do not have
 * their checksum are told to the server, which replaces its copy by another server's, and are read again:
 * RK_ERR_CORRUPT if that did not help before the timeout, RK_ERR_LOST if no server has good bytes. */
RK_API int rk_read(rk_client* client, const char* name, uint64_t version, rk_reader** reader);
/* As rk_read, in a time that does not grow with the version's size: no byte is looked at, and a page is entered when it
 * is touched first. For who needs a part of a large version, or verifies it later. */
RK_API int rk_map(rk_client* client, const char* name, uint64_t version, rk_reader** reader);
/* Verifies the checksums of all sections, as rk_read has done before it returned. RK_ERR_CORRUPT: bytes do not have
 * theirs, which the server has been told; it replaces its copy by another server's, which rk_read gives. */
RK_API int rk_reader_verify(rk_reader* reader);
/* Copies a section into the caller's memory of the section's size, and verifies it on the way: with rk_map, the fastest
 * way to have a large version back. RK_ERR_CORRUPT: as rk_reader_verify, and `data` has anything. */
RK_API int rk_reader_copy(rk_reader* reader, const char* section, void* data, size_t size);
RK_API uint64_t rk_reader_version(const rk_reader* reader);
RK_API int rk_reader_section(const rk_reader* reader, const char* section, const void** data, size_t* size);
RK_API void rk_reader_close(rk_reader* reader);
/* Which sections the version has, in the order of rk_begin: the first `capacity` of them are written to `sections`
 * (NULL allowed where capacity is 0), `*count` is how many there are. The names are the reader's, until
 * rk_reader_close. */
RK_API int rk_reader_sections(const rk_reader* reader, rk_section* sections, size_t capacity, size_t* count);
/* Removes every version of `name`. */
RK_API int rk_delete(rk_client* client, const char* name);

/* ---- inside a job (`ringkeep run`) ---- */

typedef struct rk_job rk_job;

/* The job of this process, from the environment that `ringkeep run` sets. RK_ERR_UNAVAILABLE outside of one: a program
 * that can run without fault tolerance goes on. In an MPI program: after MPI_Init. options may be NULL. */
RK_API int rk_job_open(const rk_options* options, rk_job** job);
RK_API void rk_job_close(rk_job* job);
RK_API uint32_t rk_job_rank(const rk_job* job);
RK_API uint32_t rk_job_size(const rk_job* job);
RK_API uint32_t rk_job_community(const rk_job* job);

/* Memory that belongs to this process's part of the community's checkpoint. Before rk_job_restart_version returns a
 * version, and the same names and sizes in each life. The memory stays the caller's and must live as long as the job
 * handle. */
RK_API int rk_job_protect(rk_job* job, const char* section, void* data, size_t size);
/* The restart question, once a life, by every process of the community: `*version` is the group version to restore,
 * the same for all of them; 0: start from the beginning. */
RK_API int rk_job_restart_version(rk_job* job, uint64_t* version);
/* Fills the protected memory from that version, by every process of the community. */
RK_API int rk_job_restore(rk_job* job);
/* Takes the community's checkpoint: called by every process of it at the same point of the program, with no message
 * of the community in flight and no request active (refused by name otherwise). Other communities are not waited for.
 * Returns RK_OK on all processes or an error on all. `*version` (NULL allowed) is the group version. */
RK_API int rk_job_checkpoint(rk_job* job, uint64_t* version);

#define RK_ANY_SOURCE UINT32_MAX
#define RK_ANY_TAG (-1)
#define RK_MAX_TAG 0x3fffffff

/* Sends to a process of another community. Returns when the message is in the log (it never waits for the receiver).
 * tag: 0 to RK_MAX_TAG. RK_ERR_NO_MEMORY: the log is full. */
RK_API int rk_send(rk_job* job, uint32_t dest, int32_t tag, const void* data, size_t size);

typedef struct rk_message {
  size_t struct_size;
  uint32_t source;
  int32_t tag;
  size_t size;  /* bytes of the message */
  uint64_t ssn; /* the sender's number for it, per (source, destination) */
  uint64_t rsn; /* this process's number for it, in the order of receiving */
} rk_message;

/* Receives the oldest message that matches, waiting at most timeout_ms. RK_ERR_INVALID_ARGUMENT and the message left
 * in place if it is larger than `capacity` (message->size says how large). The choice of an RK_ANY_SOURCE receive is
 * recorded and repeated after a restart. */
RK_API int rk_recv(rk_job* job, uint32_t source, int32_t tag, void* data, size_t capacity, uint32_t timeout_ms,
                   rk_message* message);

#ifdef __cplusplus
}
#endif

#endif
/* NOLINTEND(modernize-deprecated-headers,modernize-use-using) */
