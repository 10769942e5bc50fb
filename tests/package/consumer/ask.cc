// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <ringkeep/ringkeep.hpp>

int main() {
  try {
    rk::Client client("/nonexistent/socket");
  } catch (const rk::Failure& failure) {
    return failure.code() == RK_ERR_UNAVAILABLE ? 0 : 1;
  }
  std::fprintf(stderr, "a client connected to a socket that does not exist\n");
  return 1;
}
