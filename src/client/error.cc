// SPDX-License-Identifier: Apache-2.0
#include "client/error.h"

#include <cstdio>

#include "base/check.h"

namespace rk::client {
namespace {

// Fixed size: reporting an error allocates nothing.
thread_local char t_last_error[1024] = "";

[[noreturn]] void throw_check_failed(const char* file, int line, const char* condition) {
  throw CheckFailed("broken invariant at " + std::string(file) + ":" + std::to_string(line) + ": " + condition +
                    ": this is a bug in ringkeep, please report it");
}

// Runs when the library is loaded, before any thread can use it.
[[maybe_unused]] const CheckHandler g_replaced = set_check_handler(throw_check_failed);

}  // namespace

void clear_last_error() noexcept { t_last_error[0] = '\0'; }

int set_last_error(ErrorCode code, const char* words) noexcept {
  std::snprintf(t_last_error, sizeof t_last_error, "%s", words);
  return static_cast<int>(code);
}

int set_last_error(const Error& error) noexcept { return set_last_error(error.code, error.message.c_str()); }

const char* last_error() noexcept { return t_last_error; }

}  // namespace rk::client
