// SPDX-License-Identifier: Apache-2.0
// Programs whose output is read as it comes, and a client of ringkeep-queue's lines.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shm/descriptor.h"

namespace rk::testing {

// A child of the test; killed with the fixture if it still runs.
class ChildProcess {
 public:
  ChildProcess(std::vector<std::string> arguments, const std::vector<std::pair<std::string, std::string>>& environment);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  // Exit code, or 128 + signal; -1: it does not end.
  int wait();
  // Reads on until `text` has come, on either stream; false at the end of both, or if nothing comes for a long time.
  bool await_output(const std::string& text);
  // Takes what comes next; false at the end.
  bool read_on();
  // To wait for that.
  int descriptor() const { return reading_.get(); }
  const std::string& output() const { return output_; }
  // Forgets what has been read, so that await_output() waits for new words.
  void forget_output() { output_.clear(); }

 private:
  pid_t pid_ = -1;
  int status_ = -1;
  shm::Descriptor reading_;
  std::string output_;
};

// A connection to a queue; a broken one gives "" for an answer.
class QueueClient {
 public:
  explicit QueueClient(std::uint16_t port);
  std::string ask(const std::string& request);
  void send(const std::string& bytes);
  std::string receive_line();
  bool connected() const { return static_cast<bool>(socket_); }

 private:
  shm::Descriptor socket_;
  std::string in_;
};

// The path of the program, and its words for a queue at any free port.
std::vector<std::string> queue_command(std::vector<std::string> options = {});
// The port in "ready at 127.0.0.1:PORT", once that has come; 0: it has not.
std::uint16_t await_queue(ChildProcess& queue);

}  // namespace rk::testing
