// SPDX-License-Identifier: Apache-2.0
// How `ringkeep` ends when it is not the program's own status: docs/exit-codes.md tells users.
#pragma once

#include "base/result.h"

namespace rk::cli {

inline constexpr int kSuccess = 0;
inline constexpr int kNotRunning = 1;    // status, ring, events, override: no server answers
inline constexpr int kUnhealthy = 1;     // doctor: a problem
inline constexpr int kNotConfirmed = 2;  // override: without --yes
inline constexpr int kRefused = 3;       // override: where it would only lose data
inline constexpr int kUsage = 64;        // options, partition, --kill
inline constexpr int kDiffers = 65;      // --strict-output, a divergence
inline constexpr int kBadData = 65;      // import: the file is damaged, cut off, or no export that this release reads
inline constexpr int kDamaged = 65;      // verify: a copy stays damaged, another one is good
inline constexpr int kNoInput = 66;      // a program or file that was named does not exist
inline constexpr int kUnavailable = 69;  // servers that do not answer, ended, or lost their ring
inline constexpr int kInternal = 70;
inline constexpr int kSystem = 71;    // the operating system refused
inline constexpr int kTaken = 73;     // what was to be made is there already, or somebody else's to make
inline constexpr int kMemory = 75;    // a memory budget or limit
inline constexpr int kProtocol = 76;  // servers of another version or cluster, or no server at all at that socket
inline constexpr int kPermission = 77;
inline constexpr int kUnsupported = 78;  // an MPI library without wrappers and the like

inline int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOk:
      return kSuccess;
    case ErrorCode::kInvalidArgument:
      return kUsage;
    case ErrorCode::kNotFound:
      return kNoInput;
    case ErrorCode::kNoMemory:
      return kMemory;
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
    case ErrorCode::kLost:
    case ErrorCode::kFenced:
    case ErrorCode::kPeerGone:
      return kUnavailable;
    case ErrorCode::kCorrupt:
    case ErrorCode::kVersionMismatch:
    case ErrorCode::kWrongCluster:
      return kProtocol;
    case ErrorCode::kPermission:
      return kPermission;
    case ErrorCode::kDivergence:
      return kDiffers;
    case ErrorCode::kUnsupported:
      return kUnsupported;
    case ErrorCode::kIo:
      return kSystem;
    case ErrorCode::kExists:
      return kTaken;
  }
  return kInternal;
}

}  // namespace rk::cli
