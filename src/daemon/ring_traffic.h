// SPDX-License-Identifier: Apache-2.0
// Counts the ring's messages of this server by kind, at the links: what the agreement costs on the wire.
#pragma once

#include <map>
#include <vector>

#include "wire/client_messages.h"

namespace rk::daemon {

class RingTraffic {
 public:
  // Frames of other families are not counted.
  void sent(const wire::Frame& frame);
  void received(const wire::Frame& frame);
  // Every kind, also those never seen.
  std::vector<wire::RingMessageCount> counts() const;

 private:
  struct Count {
    std::uint64_t sent = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t received = 0;
    std::uint64_t received_bytes = 0;
  };
  std::map<wire::MessageType, Count> counts_;
};

}  // namespace rk::daemon
