// SPDX-License-Identifier: Apache-2.0
// A service of the simulated month: writes checkpoints at its server, and after a failure reads the newest one at
// another server and goes on there. It knows what was confirmed to it, and judges every answer by that.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/prng.h"
#include "keep/events.h"
#include "sim/hosts.h"

namespace rk::month {

class Month;

class Service {
 public:
  Service(Month& month, std::uint64_t number, sim::HostId host, Prng prng);

  void begin() { write_later(); }
  // Its server has died, or will: goes on at another one after that time, with the newest checkpoint.
  void move(std::uint64_t after_us);
  // Reads what was confirmed, where it is.
  void read_again();
  void answered(const keep::Answer& answer);
  // A server has died: is the newest confirmed version gone with it?
  void look();

  const wire::KeepKey& key() const { return key_; }
  Version newest() const { return newest_; }
  sim::HostId host() const { return host_; }
  std::uint64_t number() const { return number_; }
  bool waits() const { return needs_read_; }
  bool idle() const { return !needs_read_ && !urgent_ && request_ == 0; }
  bool lost() const { return lost_; }

 private:
  void ask(keep::ClientMessage message);
  void write_later();
  void write();
  void read();
  void again(std::uint64_t after_us);
  void judge(const keep::Answer& answer, const wire::CheckpointSlot& message);
  void judge(const keep::Answer& answer, const wire::CommitAnswer& message);
  void judge(const keep::Answer& answer, const wire::CheckpointContent& message);
  void judge(const keep::Answer& answer, const wire::Refusal& message);
  bool second_copy() const;
  template <class Other>
  void judge(const keep::Answer&, const Other&) {}

  Month& month_;
  std::uint64_t number_;
  sim::HostId host_;
  Prng prng_;
  wire::KeepKey key_;
  Version newest_;                         // confirmed, and not said to be lost since
  std::map<Version, std::uint64_t> sums_;  // of confirmed versions
  std::uint64_t request_ = 0;              // open; 0: none
  std::uint64_t last_request_ = 0;
  std::uint64_t turn_ = 0;   // what was planned before it is void
  bool needs_read_ = false;  // has not its state yet
  bool urgent_ = false;      // has its state from a copy that may be the only one: writes at once
  bool lost_ = false;        // no copy of the newest confirmed version is left, and it was not read before
};

}  // namespace rk::month
