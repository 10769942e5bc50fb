// SPDX-License-Identifier: Apache-2.0
// `ringkeep` as a user calls it, by a shell.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace rk::testing {

struct Ran {
  int code = -1;
  std::string output;  // and what it said on standard error, if the shell was told so
};

// `before` the command, such as variables; `after` it, such as where to write.
inline Ran run_ringkeep(const std::string& arguments, const std::string& after = " 2>&1",
                        const std::string& before = "") {
  Ran ran;
  FILE* const pipe = ::popen((before + RINGKEEP_COMMAND " " + arguments + after).c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  if (pipe == nullptr) return ran;
  std::array<char, 4096> piece;
  while (std::fgets(piece.data(), piece.size(), pipe) != nullptr) ran.output += piece.data();
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return ran;
}

}  // namespace rk::testing
