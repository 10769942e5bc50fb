// SPDX-License-Identifier: Apache-2.0
#include "shm/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace rk::shm {

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<Descriptor> duplicate(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return fail_errno("duplicate a descriptor", errno);
  return Descriptor(copy);
}

}  // namespace rk::shm
