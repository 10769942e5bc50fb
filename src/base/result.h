// SPDX-License-Identifier: Apache-2.0
// Expected failures. A function that can fail for a reason outside this program returns Result<T>; its Error names the
// cause and the cure in one sentence each. A broken invariant of our own is not an Error: see check.h.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace rk {

// Append-only: the numbers are those of the C ABI (RK_ERR_* in ringkeep.h) and travel in answers to clients.
enum class ErrorCode : int {
  kOk = 0,
  kInvalidArgument = 1,  // the caller broke the documented contract of the call
  kNotFound = 2,         // no such name, version, job or section
  kNoMemory = 3,         // a budget, quota or limit would be exceeded
  kUnavailable = 4,      // no server, no quorum, no lease: nothing was changed; try again
  kTimeout = 5,          // the bound of the wait passed; the outcome is unknown
  kCorrupt = 6,          // bytes do not have their checksum, magic or layout
  kVersionMismatch = 7,  // the other side speaks no version that we speak
  kWrongCluster = 8,     // the other side belongs to another cluster, or does not know the cluster key
  kFenced = 9,           // an incarnation older than the one on record
  kPermission = 10,      // the owner of the object is another user
  kIo = 11,              // the operating system refused; the message has its words
  kLost = 12,            // every copy of a committed version is gone
  kDivergence = 13,      // a re-execution sent something else than the original
  kUnsupported = 14,     // named feature that does not exist (yet) in this combination
  kExists = 15,          // the name is taken
  kPeerGone = 16,        // the other end closed the connection
};

// Stable lower-case word for a code: "not-found". For logs, JSON and messages.
const char* to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string message;  // cause, then cure; no trailing newline
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

// kIo with strerror(saved_errno): "cannot <doing>: <system's words>".
tl::unexpected<Error> fail_errno(const std::string& doing, int saved_errno);

}  // namespace rk

#define RK_CONCAT_INNER(a, b) a##b
#define RK_CONCAT(a, b) RK_CONCAT_INNER(a, b)

// RK_TRY(auto x, call()): x is the value, or the enclosing function returns the error.
#define RK_TRY(declaration, expression)                                                                      \
  auto RK_CONCAT(rk_try_, __LINE__) = (expression);                                                          \
  if (!RK_CONCAT(rk_try_, __LINE__)) return tl::unexpected(std::move(RK_CONCAT(rk_try_, __LINE__)).error()); \
  declaration = std::move(*RK_CONCAT(rk_try_, __LINE__))  // NOLINT(bugprone-macro-parentheses): it is a declaration

// RK_TRY_VOID(call()): as above for a Status.
#define RK_TRY_VOID(expression)                                                  \
  do {                                                                           \
    auto rk_try_status = (expression);                                           \
    if (!rk_try_status) return tl::unexpected(std::move(rk_try_status).error()); \
  } while (false)
