// SPDX-License-Identifier: Apache-2.0
#include "daemon/client_places.h"

#include <algorithm>

namespace rk::daemon {

Status ClientPlaces::room_for(OwnerId owner) const {
  if (ordinary_.size() >= limits_.clients)
    return fail(ErrorCode::kUnavailable, "this server has its " + std::to_string(limits_.clients) +
                                             " clients already: close some, or raise limits.clients");
  const auto own = of_owner_.find(owner);
  if (own != of_owner_.end() && own->second >= limits_.owner_clients)
    return fail(ErrorCode::kUnavailable, "user " + std::to_string(owner.value) + " has the " +
                                             std::to_string(limits_.owner_clients) +
                                             " connections that one user may have: close some, or raise "
                                             "limits.owner_clients");
  return {};
}

std::optional<std::uint64_t> ClientPlaces::admit(std::uint64_t session, OwnerId owner) {
  if (room_for(owner)) {
    ordinary_.emplace(session, owner);
    ++of_owner_[owner];
    return std::nullopt;
  }
  ++turned_away_;
  operators_.push_back(session);
  if (operators_.size() <= kOperatorPlaces) return std::nullopt;
  const std::uint64_t first = operators_.front();
  operators_.pop_front();
  return first;
}

Status ClientPlaces::take_ordinary(std::uint64_t session, OwnerId owner) {
  if (ordinary_.contains(session)) return {};
  if (Status room = room_for(owner); !room) return room;
  std::erase(operators_, session);
  ordinary_.emplace(session, owner);
  ++of_owner_[owner];
  return {};
}

void ClientPlaces::leave(std::uint64_t session) {
  const auto at = ordinary_.find(session);
  if (at == ordinary_.end()) {
    std::erase(operators_, session);
    return;
  }
  const auto own = of_owner_.find(at->second);
  if (--own->second == 0) of_owner_.erase(own);
  ordinary_.erase(at);
}

}  // namespace rk::daemon
