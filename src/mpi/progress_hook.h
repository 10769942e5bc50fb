// SPDX-License-Identifier: Apache-2.0
// Matching while the native library blocks. A process inside a native collective cannot look for matches, but another
// one of its community may be blocked in a send until this one takes its message in for an open wildcard receive. The
// collective cannot be replaced by its nonblocking twin: the two do not match each other, and only this process knows
// that it has a receive open. So the layer's look is registered with Open MPI's progress engine, which calls it while
// it waits, as it calls its own components.
#pragma once

namespace rk::mpi {

// While one exists, native waits look for matches. Nothing of the layer may be running.
class MatchWhileBlocked {
 public:
  MatchWhileBlocked();
  ~MatchWhileBlocked();
  MatchWhileBlocked(const MatchWhileBlocked&) = delete;
  MatchWhileBlocked& operator=(const MatchWhileBlocked&) = delete;
};

}  // namespace rk::mpi
