// SPDX-License-Identifier: Apache-2.0
// A process of its own that holds descriptors of a server's shared memory, so that the memory outlives a server that is
// killed and is there for the next one with the same state directory.
//
//  server                                  holder (forked by the first server, listens at STATE/holder)
//    |-- hold NUMBER, descriptor ------------>|  one message each: in the socket it survives the sender
//    |-- drop NUMBER ------------------------>|
//    X killed                                 |  waits `wait_ms` for another server, then ends
//    next: connect, give -------------------->|
//    |<-- NUMBER, descriptor, ... ------------|
//    |-- end -------------------------------->X  the server ends in good order: the memory goes
//
// - It knows nothing of what it holds. Only processes of its own user are heard, one at a time.
// - It ends when the state directory's socket is no longer its own, so nothing is left of a ring whose directory went.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "shm/descriptor.h"

namespace rk::daemon {

class DescriptorHolder {
 public:
  struct Held {
    std::uint64_t number = 0;
    shm::Descriptor descriptor;
  };
  // The holder of that directory, or a new one, with what it holds. Forks: to be called while the process has one
  // thread, by whoever has locked the directory.
  static Result<DescriptorHolder> open(const std::string& directory, std::uint64_t wait_ms, std::vector<Held>& held);

  // In place of what has that number. From the return on it outlives this process. kUnavailable if the holder is gone
  // or does not listen: it is of no more use.
  Status hold(std::uint64_t number, int descriptor);
  Status drop(std::uint64_t number);
  // The server ends in good order.
  void end();

 private:
  explicit DescriptorHolder(shm::Descriptor socket) : socket_(std::move(socket)) {}
  Status send(std::uint32_t word, std::uint64_t number, int descriptor);
  Status take_all(std::vector<Held>& held);
  shm::Descriptor socket_;
};

}  // namespace rk::daemon
