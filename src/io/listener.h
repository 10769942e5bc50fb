// SPDX-License-Identifier: Apache-2.0
// A listening socket, local (Unix) or TCP. Each accepted socket is non-blocking and close-on-exec. When the process is
// out of descriptors it waits a moment and goes on; the connections wait in the kernel's queue.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/address.h"
#include "io/event_loop.h"
#include "shm/descriptor.h"

namespace rk::io {

// A path that no live server listens on; a socket file left by a dead one is replaced. The file has mode 0600.
Result<shm::Descriptor> listen_local(const std::string& path);
Result<shm::Descriptor> listen_tcp(const HostPort& address);
// Checks that an inherited descriptor is a listening TCP socket, and makes it non-blocking and close-on-exec.
Status adopt_listening(int socket);
// The port that the kernel chose for port 0.
Result<std::uint16_t> local_port(int socket);

class Listener {
 public:
  Listener(EventLoop& loop, shm::Descriptor socket, std::function<void(shm::Descriptor)> on_accept);
  ~Listener();

 private:
  void accept_some();

  shm::Descriptor socket_;
  std::function<void(shm::Descriptor)> on_accept_;
  Timer retry_;
  std::unique_ptr<Watch> watch_;
};

}  // namespace rk::io
