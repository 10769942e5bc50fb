// SPDX-License-Identifier: Apache-2.0
#include "mpi/progress_hook.h"

#include <dlfcn.h>

#include <cstring>

#include "mpi/receive.h"
#include "mpi/refuse.h"

namespace rk::mpi {
namespace {

bool allowed = false;

// Called from any depth of the native library; its own calls made in here must not come back in here.
int look() {
  if (!allowed) return 0;
  allowed = false;
  const bool moved = progress_receives();
  allowed = true;
  return moved ? 1 : 0;
}

void register_once() {
  static bool registered = false;
  if (registered) return;
  using Register = int (*)(int (*)());
  Register register_callback = nullptr;
  void* found = dlsym(RTLD_DEFAULT, "opal_progress_register");
  std::memcpy(&register_callback, &found, sizeof found);
  if (register_callback == nullptr || register_callback(look) != 0)
    end_job(kExitLayer,
            "a collective call while a wildcard receive is open needs Open MPI's progress engine, which this "
            "MPI library does not show; complete the receive first");
  registered = true;
}

}  // namespace

MatchWhileBlocked::MatchWhileBlocked() {
  register_once();
  allowed = true;
}

MatchWhileBlocked::~MatchWhileBlocked() { allowed = false; }

}  // namespace rk::mpi
