// SPDX-License-Identifier: Apache-2.0
// The simulated machines' processes: each host is down or runs one life (numbered from 1), which can be paused (its
// actions and messages wait) and crashed (they are dropped). Hosts are numbered from 0.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sim/scheduler.h"
#include "sim/trace.h"

namespace rk::sim {

using HostId = std::uint32_t;

class Hosts {
 public:
  Hosts(Scheduler& clock, Trace& trace, std::size_t count) : clock_(clock), trace_(trace), hosts_(count) {}

  std::size_t count() const { return hosts_.size(); }
  bool up(HostId host) const { return hosts_.at(host).up; }
  bool paused(HostId host) const { return hosts_.at(host).paused; }
  // Of the running life, or of the last one.
  std::uint64_t life(HostId host) const { return hosts_.at(host).life; }

  void start(HostId host);  // a new life; the host must be down
  void crash(HostId host);  // no effect on one that is down
  void pause(HostId host);
  void resume(HostId host);  // what waited runs now, in order

  // Runs the action after the delay, in the life that runs now: later if that is paused then, never if it is over.
  void after(HostId host, std::uint64_t delay_us, Scheduler::Action action);
  // Runs the action in whichever life runs when the delay has passed (a message); never if none does.
  void deliver(HostId host, std::uint64_t delay_us, Scheduler::Action action);

 private:
  struct Host {
    bool up = false;
    bool paused = false;
    std::uint64_t life = 0;
    std::vector<Scheduler::Action> waiting;
  };
  void run(HostId host, Scheduler::Action action);

  Scheduler& clock_;
  Trace& trace_;
  std::vector<Host> hosts_;
};

}  // namespace rk::sim
