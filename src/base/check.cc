// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace rk {
namespace {

void print_and_abort(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "ringkeep: broken invariant at %s:%d: %s (this is a bug in ringkeep: please report it)\n", file,
               line, condition);
  std::abort();
}

CheckHandler g_handler = print_and_abort;

}  // namespace

CheckHandler set_check_handler(CheckHandler handler) {
  const CheckHandler before = g_handler;
  g_handler = handler ? handler : print_and_abort;
  return before;
}

void check_failed(const char* file, int line, const char* condition) {
  g_handler(file, line, condition);
  std::abort();
}

}  // namespace rk
