// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cstring>

namespace rk {

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOk:
      return "ok";
    case ErrorCode::kInvalidArgument:
      return "invalid-argument";
    case ErrorCode::kNotFound:
      return "not-found";
    case ErrorCode::kNoMemory:
      return "no-memory";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kTimeout:
      return "timeout";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kVersionMismatch:
      return "version-mismatch";
    case ErrorCode::kWrongCluster:
      return "wrong-cluster";
    case ErrorCode::kFenced:
      return "fenced";
    case ErrorCode::kPermission:
      return "permission";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kLost:
      return "lost";
    case ErrorCode::kDivergence:
      return "divergence";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kExists:
      return "exists";
    case ErrorCode::kPeerGone:
      return "peer-gone";
  }
  return "unknown";
}

tl::unexpected<Error> fail_errno(const std::string& doing, int saved_errno) {
  char words[128];
  // GNU strerror_r returns the message, which may or may not be in the buffer; thread-safe either way.
  return fail(ErrorCode::kIo, "cannot " + doing + ": " + strerror_r(saved_errno, words, sizeof words));
}

}  // namespace rk
