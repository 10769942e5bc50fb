// SPDX-License-Identifier: Apache-2.0
// Broken invariants of our own. Never for input: malformed input is an Error (result.h).
#pragma once

namespace rk {

// Called with file, line and the condition's text when a check fails. The default prints one line to standard error
// and aborts. A library inside a user's process installs a handler that poisons its handle and throws CheckFailed.
using CheckHandler = void (*)(const char* file, int line, const char* condition);

// Not thread-safe: install before the first thread starts. Returns the handler before.
CheckHandler set_check_handler(CheckHandler handler);

[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace rk

// Active in release builds too.
#define RK_CHECK(condition)                               \
  do {                                                    \
    if (!(condition)) [[unlikely]]                        \
      ::rk::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)
