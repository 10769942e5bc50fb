// SPDX-License-Identifier: Apache-2.0
#include "shm/descriptor.h"

#include <unistd.h>

namespace rk::shm {

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace rk::shm
