// SPDX-License-Identifier: Apache-2.0
#include "sim/hosts.h"

#include <string>

#include "base/check.h"

namespace rk::sim {

void Hosts::start(HostId host) {
  Host& it = hosts_.at(host);
  RK_CHECK(!it.up);
  it.up = true;
  it.paused = false;
  ++it.life;
  trace_.note(clock_, {1, host, it.life}, [&] { return "host " + std::to_string(host) + " starts"; });
}

void Hosts::crash(HostId host) {
  Host& it = hosts_.at(host);
  if (!it.up) return;
  it.up = false;
  it.paused = false;
  it.waiting.clear();
  trace_.note(clock_, {2, host, it.life}, [&] { return "host " + std::to_string(host) + " crashes"; });
}

void Hosts::pause(HostId host) {
  Host& it = hosts_.at(host);
  if (!it.up || it.paused) return;
  it.paused = true;
  trace_.note(clock_, {3, host, it.life}, [&] { return "host " + std::to_string(host) + " pauses"; });
}

void Hosts::resume(HostId host) {
  Host& it = hosts_.at(host);
  if (!it.up || !it.paused) return;
  it.paused = false;
  trace_.note(clock_, {4, host, it.life}, [&] { return "host " + std::to_string(host) + " resumes"; });
  const std::uint64_t life = it.life;
  std::vector<Scheduler::Action> waiting = std::move(it.waiting);
  it.waiting.clear();
  for (Scheduler::Action& action : waiting) {
    if (!it.up || it.life != life) break;  // an action before ended this life
    action();
  }
}

void Hosts::run(HostId host, Scheduler::Action action) {
  Host& it = hosts_.at(host);
  if (it.paused)
    it.waiting.push_back(std::move(action));
  else
    action();
}

void Hosts::after(HostId host, std::uint64_t delay_us, Scheduler::Action action) {
  const std::uint64_t life = hosts_.at(host).life;
  clock_.after(delay_us, [this, host, life, action = std::move(action)]() mutable {
    const Host& it = hosts_.at(host);
    if (it.up && it.life == life) run(host, std::move(action));
  });
}

void Hosts::deliver(HostId host, std::uint64_t delay_us, Scheduler::Action action) {
  clock_.after(delay_us, [this, host, action = std::move(action)]() mutable {
    if (hosts_.at(host).up) run(host, std::move(action));
  });
}

}  // namespace rk::sim
