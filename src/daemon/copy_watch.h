// SPDX-License-Identifier: Apache-2.0
// What the keep has to copy after a change of the ring, as events: how much lost its second copy, and how far the
// making of new ones has come. Looks at the catalogue from outside; copies of open commits are not its business.
#pragma once

#include <cstdint>
#include <functional>

#include "daemon/ports.h"
#include "keep/catalogue.h"
#include "wire/client_messages.h"

namespace rk::daemon {

class CopyWatch {
 public:
  static constexpr std::uint64_t kLookMs = 250;  // a look walks the whole catalogue: between two looks at a large one
  static constexpr std::size_t kLargeNames = 4096;
  static constexpr std::uint64_t kProgressMs = 1000;  // between events of progress

  explicit CopyWatch(std::function<void(wire::ServerEvent)> tell) : tell_(std::move(tell)) {}

  // After the keep has been told of the same ring.
  void on_ring(const RingState& ring, const keep::Catalogue& catalogue, std::uint64_t now_ms);
  void on_tick(const keep::Catalogue& catalogue, std::uint64_t now_ms);

 private:
  struct Debt {
    std::uint64_t copies = 0;  // versions that the predecessor, or this server, lacks
    std::uint64_t bytes = 0;
    std::uint64_t bare = 0;  // versions that no other server of the ring has
    std::uint64_t bare_bytes = 0;
  };
  Debt debt(const keep::Catalogue& catalogue) const;
  void tell(const char* name, std::uint64_t count, std::uint64_t bytes, std::string reason = {});

  std::function<void(wire::ServerEvent)> tell_;
  ViewNumber view_;
  keep::Member second_;  // the predecessor; node 0: none
  Debt started_;         // when the copying began; no copies: nothing is under way
  std::uint64_t left_ = 0;
  std::uint64_t looked_ms_ = 0;
  std::uint64_t told_ms_ = 0;
};

}  // namespace rk::daemon
