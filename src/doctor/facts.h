// SPDX-License-Identifier: Apache-2.0
// What is known of a node before anything is judged: plain values, so that a test can make up any node.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "shm/memory_room.h"

namespace rk::doctor {

struct MemoryFacts {
  std::uint64_t budget_bytes = 0;
  std::uint64_t reserve_bytes = 0;
  std::uint64_t held_bytes = 0;  // of the budget, by this node's server: not available, and rightly so
  Result<shm::MemoryRoom> room;
  int overcommit = 0;  // vm.overcommit_memory
  std::uint64_t commit_limit_bytes = 0;
  std::uint64_t committed_bytes = 0;
};

// UINT64_MAX: no limit. Hard limits, but for core: the server raises its own.
struct LimitFacts {
  std::uint64_t open_files = 0;
  std::uint64_t needed_files = 0;
  std::uint64_t file_bytes = 0;     // RLIMIT_FSIZE bounds memfds too
  std::uint64_t address_bytes = 0;  // RLIMIT_AS
  std::uint64_t budget_bytes = 0;
};

struct KeyFacts {
  std::string file;  // empty: none configured
  Status read;
};

struct ClockFacts {
  bool monotonic_rises = true;  // between two looks
  std::uint64_t resolution_ns = 1;
  std::int64_t unix_s = 0;
  bool synchronised = true;  // adjtimex
  std::uint64_t max_error_us = 0;
};

// The address of one server of the roster.
struct PortFacts {
  enum class Outcome : std::uint8_t {
    kFree,        // own: can be bound
    kOurs,        // own: this node's server has it
    kTaken,       // own: another process has it
    kNotHere,     // own: no address of this machine
    kForbidden,   // own: a port below 1024
    kAnswers,     // other: something listens
    kRefused,     // other: nothing listens
    kSilent,      // other: no answer
    kUnresolved,  // the name has no address
    kFailed,      // the system's word is in `word`
  };
  std::uint32_t node = 0;
  std::string address;
  bool own = false;
  Outcome outcome = Outcome::kFree;
  std::string word;
};

struct SharedMemoryFacts {
  Status memfd;                // made, sealed, touched and mapped as the server does
  bool folder_exists = false;  // /dev/shm
  bool folder_is_memory = false;
  bool folder_is_writable = false;
  std::uint64_t folder_bytes = 0;
  std::uint64_t folder_free_bytes = 0;
};

struct DirectoryFacts {
  std::string path;  // empty: none
  bool exists = false;
  Status usable;           // if it exists: a private directory of ours; else: its parent can be written
  Status durable;          // a file was written and synced there
  bool in_memory = false;  // tmpfs: gone with the machine
  bool of_private_ring = false;
};

struct MpiFacts {
  Result<std::string> mpirun;
  std::string version;  // first line of mpirun --version
  Result<std::string> layer;
  Result<std::string> server;
  bool parameters_known = false;   // ompi_info could be asked
  std::vector<std::string> lacks;  // parameters that the launcher sets and this Open MPI has not
};

struct KernelFacts {
  std::string release;
  bool pidfd = true;
  bool environ_readable = true;  // /proc/PID/environ of our own processes
  bool children = true;          // PR_SET_CHILD_SUBREAPER is known
};

struct LeftoverFacts {
  std::vector<std::string> stale_jobs;      // directories of jobs whose launcher and guard are gone
  std::string ring;                         // directory of the user's private ring; empty: there is none
  std::vector<std::uint32_t> dead_servers;  // of it
  std::uint32_t servers = 0;
};

}  // namespace rk::doctor
