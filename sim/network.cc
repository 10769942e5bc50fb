// SPDX-License-Identifier: Apache-2.0
#include "sim/network.h"

#include <string>

#include "base/check.h"

namespace rk::sim {

Network::Network(Scheduler& clock, Hosts& hosts, Trace& trace, Prng prng)
    : clock_(clock),
      hosts_(hosts),
      trace_(trace),
      prng_(prng),
      count_(hosts.count()),
      cut_(count_ * count_, false),
      receivers_(count_) {}

void Network::send(HostId from, HostId to, const Bytes& message) {
  RK_CHECK(from < count_ && to < count_);
  ++counts_.sent;
  if (!reaches(from, to)) {
    ++counts_.cut;
    return;
  }
  if (prng_.chance(faults_.loss_permille, 1000)) {
    ++counts_.lost;
    return;
  }
  if (prng_.chance(faults_.duplicate_permille, 1000)) {
    ++counts_.duplicated;
    post(from, to, message);
  }
  post(from, to, message);
}

void Network::post(HostId from, HostId to, const Bytes& message) {
  std::uint64_t delay_us = prng_.between(faults_.min_delay_us, faults_.max_delay_us);
  if (prng_.chance(faults_.slow_permille, 1000)) {
    ++counts_.slowed;
    delay_us = prng_.between(faults_.min_delay_us, faults_.slow_delay_us);
  }
  Bytes bytes = message;
  if (!bytes.empty() && prng_.chance(faults_.flip_permille, 1000)) {
    ++counts_.flipped;
    bytes[prng_.below(bytes.size())] ^= static_cast<std::byte>(1U << prng_.below(8));
  }
  hosts_.deliver(to, delay_us, [this, from, to, bytes = std::move(bytes)] { receivers_.at(to)(from, bytes); });
}

void Network::cut(HostId from, HostId to) {
  cut_.at(from * count_ + to) = true;
  trace_.note(clock_, {10, from, to}, [&] { return "cut " + std::to_string(from) + " -> " + std::to_string(to); });
}

void Network::mend(HostId from, HostId to) {
  cut_.at(from * count_ + to) = false;
  trace_.note(clock_, {11, from, to}, [&] { return "mend " + std::to_string(from) + " -> " + std::to_string(to); });
}

void Network::partition(const std::vector<std::uint32_t>& group) {
  RK_CHECK(group.size() == count_);
  for (HostId from = 0; from < count_; ++from)
    for (HostId to = 0; to < count_; ++to) cut_.at(from * count_ + to) = group[from] != group[to];
  trace_.note(clock_, {12}, [&] {
    std::string text = "partition";
    for (const std::uint32_t number : group) text += " " + std::to_string(number);
    return text;
  });
}

void Network::mend_all() {
  cut_.assign(cut_.size(), false);
  trace_.note(clock_, {13}, [] { return std::string("mend all"); });
}

}  // namespace rk::sim
