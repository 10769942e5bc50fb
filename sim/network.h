// SPDX-License-Identifier: Apache-2.0
// A network that loses, duplicates, delays and reorders messages, and whose directions can be cut one by one. Messages
// are bytes, so that a simulation also exercises the codec. A message in flight may reach a later life of its receiver.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/prng.h"
#include "sim/hosts.h"

namespace rk::sim {

struct NetworkFaults {
  std::uint64_t min_delay_us = 50;
  std::uint64_t max_delay_us = 500;
  std::uint64_t loss_permille = 0;
  std::uint64_t duplicate_permille = 0;
  std::uint64_t slow_permille = 0;  // messages that take up to slow_delay_us instead, so that others overtake them
  std::uint64_t slow_delay_us = 0;
  std::uint64_t flip_permille = 0;  // messages of which one bit arrives changed
};

struct NetworkCounts {
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;  // by chance
  std::uint64_t cut = 0;   // sent into a cut direction
  std::uint64_t duplicated = 0;
  std::uint64_t slowed = 0;
  std::uint64_t flipped = 0;
};

class Network {
 public:
  using Deliver = std::function<void(HostId from, const Bytes& message)>;

  Network(Scheduler& clock, Hosts& hosts, Trace& trace, Prng prng);

  void set_faults(const NetworkFaults& faults) { faults_ = faults; }
  // Who gets messages to that host, in every life of it.
  void attach(HostId host, Deliver deliver) { receivers_.at(host) = std::move(deliver); }
  void send(HostId from, HostId to, const Bytes& message);

  void cut(HostId from, HostId to);  // this direction only
  void mend(HostId from, HostId to);
  // Only hosts of the same group reach each other; `group` has one number a host.
  void partition(const std::vector<std::uint32_t>& group);
  void mend_all();
  bool reaches(HostId from, HostId to) const { return !cut_.at(from * count_ + to); }

  const NetworkCounts& counts() const { return counts_; }

 private:
  void post(HostId from, HostId to, const Bytes& message);

  Scheduler& clock_;
  Hosts& hosts_;
  Trace& trace_;
  Prng prng_;
  std::size_t count_;
  NetworkFaults faults_;
  NetworkCounts counts_;
  std::vector<bool> cut_;  // [from * count + to]
  std::vector<Deliver> receivers_;
};

}  // namespace rk::sim
