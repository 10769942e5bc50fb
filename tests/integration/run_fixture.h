// SPDX-License-Identifier: Apache-2.0
// Runs `ringkeep` as a user does, in a temporary directory of its own, and looks at what is left afterwards.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "shm/descriptor.h"

namespace rk::testing {

struct Ended {
  int status = -1;  // exit status, or 128 + signal
  std::string out;
  std::string err;
};

// Looks until `there` is true, for a time that no working machine needs.
bool await(const std::function<bool()>& there);
std::vector<std::string> entries_of(const std::string& folder);

class RunFixture : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  static std::string program();        // tests/integration/run_program.c
  static std::string mpich_program();  // the same for MPICH; empty where it is not installed
  const std::string& folder() const { return folder_; }

  // Starts `ringkeep ARGUMENTS` and goes on.
  void start(std::vector<std::string> arguments, const std::string& input = "");
  // Waits for the end of what start() started.
  Ended finish();
  Ended run(std::vector<std::string> arguments, const std::string& input = "") {
    start(std::move(arguments), input);
    return finish();
  }
  // A job of that many processes and communities, on a ring of one server.
  static std::vector<std::string> job(int ranks, int communities, std::vector<std::string> program_and_arguments,
                                      std::vector<std::string> options = {});
  pid_t launcher() const { return launcher_; }
  // Back to a command that start() started before another one: finish() waits for it.
  void return_to(pid_t launcher) { launcher_ = launcher; }
  // Waits until that text is on standard output of the running command.
  void await_output(const std::string& text);
  // Processes of the run with that name (comm), once there is one at least.
  std::vector<pid_t> await_processes(const std::string& name);
  // Name of the job's private directory, below TMPDIR. After await_output().
  std::string private_directory() const { return roots_.empty() ? "" : roots_.back(); }
  // Both directories of that name: below TMPDIR and in /dev/shm.
  bool is_there(const std::string& private_directory) const;
  // Nothing of the run is left within ten seconds: processes, files below TMPDIR, directories in /dev/shm.
  void expect_nothing_left();
  // These are not of the run: they stay.
  void spare(const std::vector<pid_t>& servers) { spared_ = servers; }
  bool any_process(const std::string& name) const;
  void set_environment(const std::string& name, const std::string& value) { environment_.emplace_back(name, value); }
  static std::string text_of(const std::string& path);

 private:
  std::string mark_entry() const;
  std::vector<std::string> left_over() const;

  std::string folder_;
  std::string mark_;
  pid_t launcher_ = 0;
  std::vector<std::pair<std::string, std::string>> environment_;
  std::vector<pid_t> spared_;
  std::vector<std::string> roots_;  // private directories that were seen
};

}  // namespace rk::testing
