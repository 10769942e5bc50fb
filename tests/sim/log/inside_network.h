// SPDX-License-Identifier: Apache-2.0
// What the native MPI library is to one simulated process: messages from inside its community, delivered in order per
// sender, matched with receives that were posted natively, or set aside for matched probes.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "log/matcher.h"

namespace rk::log {

struct InsideDelivery {
  std::uint64_t context = 0;
  std::uint32_t source = 0;
  std::int32_t tag = 0;
  std::uint64_t length = 0;
  std::uint64_t digest = 0;  // of its payload
};

class InsideNetwork : public InsidePort {
 public:
  struct Done {
    std::uint64_t psn = 0;
    InsideDelivery message;
  };

  // In flight from a process of the community; arrive() makes the oldest of a sender visible.
  void sent(const InsideDelivery& message) { in_flight_[message.source].push_back(message); }
  void arrive(std::uint32_t source);
  // A native receive of that psn; complete at once if its message is there.
  void post(std::uint64_t psn, std::uint64_t context, std::uint32_t source, std::int32_t tag);
  std::vector<Done> take_done();
  // Of a message that a matched probe took.
  InsideDelivery taken(std::uint64_t token) const { return taken_.at(token); }
  void clear();
  bool idle() const;

  std::optional<InsideMessage> try_match(std::uint64_t context, std::uint32_t source, std::int32_t tag) override;
  std::optional<InsideMessage> try_probe(std::uint64_t context, std::uint32_t source, std::int32_t tag) override;

 private:
  struct Posted {
    std::uint64_t psn = 0;
    std::uint64_t context = 0;
    std::uint32_t source = 0;
    std::int32_t tag = 0;
  };
  static bool fits(const InsideDelivery& message, std::uint64_t context, std::uint32_t source, std::int32_t tag) {
    return message.context == context && (source == kAnySource || message.source == source) &&
           (tag == kAnyTag || message.tag == tag);
  }
  std::deque<InsideDelivery>::iterator find(std::uint64_t context, std::uint32_t source, std::int32_t tag);

  std::map<std::uint32_t, std::deque<InsideDelivery>> in_flight_;
  std::deque<InsideDelivery> unexpected_;
  std::vector<Posted> posted_;
  std::vector<Done> done_;
  std::map<std::uint64_t, InsideDelivery> taken_;
  std::uint64_t last_token_ = 0;
};

}  // namespace rk::log
