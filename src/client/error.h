// SPDX-License-Identifier: Apache-2.0
// The edge between our Results and the C ABI: codes, the thread's last error, and the promise that nothing of ours
// throws into or aborts a user's process. A broken invariant of our own poisons the handle it happened on.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "base/result.h"
#include "ringkeep/ringkeep.h"

namespace rk::client {

// Thrown by the check handler that this library installs.
class CheckFailed : public std::exception {
 public:
  explicit CheckFailed(std::string words) : words_(std::move(words)) {}
  const char* what() const noexcept override { return words_.c_str(); }

 private:
  std::string words_;
};

// Of this thread.
void clear_last_error() noexcept;
int set_last_error(const Error& error) noexcept;
int set_last_error(ErrorCode code, const char* words) noexcept;
const char* last_error() noexcept;

// Runs `call` (a Status) behind the edge. `poisoned` belongs to the handle.
template <class Call>
int at_edge(bool& poisoned, Call&& call) noexcept {
  clear_last_error();
  if (poisoned)
    return set_last_error(ErrorCode::kIo,
                          "an earlier call on this handle broke it (see its error): close it and open another");
  try {
    const Status status = call();
    return status ? RK_OK : set_last_error(status.error());
  } catch (const CheckFailed& broken) {
    poisoned = true;
    return set_last_error(ErrorCode::kIo, broken.what());
  } catch (const std::bad_alloc&) {
    return set_last_error(ErrorCode::kNoMemory, "this process has no memory left: free some");
  } catch (const std::exception& other) {
    poisoned = true;
    return set_last_error(ErrorCode::kIo, other.what());
  }
}

// For calls that have no handle yet.
template <class Call>
int at_edge(Call&& call) noexcept {
  bool poisoned = false;
  return at_edge(poisoned, static_cast<Call&&>(call));
}

inline Status invalid(std::string words) { return fail(ErrorCode::kInvalidArgument, std::move(words)); }

}  // namespace rk::client
