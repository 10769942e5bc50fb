// SPDX-License-Identifier: Apache-2.0
#include "mpi/wait_loop.h"

#include <sched.h>

#include "mpi/clock.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/stats.h"

namespace rk::mpi {

void native_progress() {
  int flag = 0;
  native.Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_SELF, &flag, MPI_STATUS_IGNORE);
}

void WaitLoop::idle() {
  ++looks_;
  Layer& all = layer();
  if (looks_ > kEager && all.session->idle_work()) {
    const LayerWork work(LayerWork::kLarge);
    all.session->prepare();
    return;
  }
  if (all.env.spin && looks_ < kSpins) {
    if (looks_ % kNativeEvery == 0)
      native_progress();
    else if (looks_ > kEager)
      __builtin_ia32_pause();
    return;
  }
  native_progress();
  const std::uint64_t now = monotonic_ns();
  if (since_ns_ == 0) since_ns_ = now;
  if (now - since_ns_ < kSpinNs) {
    sched_yield();
    return;
  }
  all.session->wait(inside_too_ ? kMixedUs : kOutsideUs);
}

}  // namespace rk::mpi
