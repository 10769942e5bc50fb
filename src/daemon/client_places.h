// SPDX-License-Identifier: Apache-2.0
// Who may be connected: at most `clients` at a time, of one user at most `owner_clients`. Beside those there are
// kOperatorPlaces for connections that ask what an operator asks (status, ring, events, list, inspect, delete): also
// when somebody has taken all the others, it can be seen and mended. Whoever comes when the others are taken gets one
// of these, and the first that came gives way, so that nobody can hold them. Knows no sockets and no clock.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "base/ids.h"
#include "base/result.h"

namespace rk::daemon {

class ClientPlaces {
 public:
  static constexpr std::size_t kOperatorPlaces = 16;
  struct Limits {
    std::uint64_t clients = 0;
    std::uint64_t owner_clients = 0;
  };

  explicit ClientPlaces(Limits limits) : limits_(limits) {}

  // A connection that has come, with a session number that is not in use. The session that must go for it, if any.
  std::optional<std::uint64_t> admit(std::uint64_t session, OwnerId owner);
  void leave(std::uint64_t session);
  bool is_operators(std::uint64_t session) const { return !ordinary_.contains(session); }
  // Ok if the session has an ordinary place, or gets one now; kUnavailable, with the limit, if there is none.
  Status take_ordinary(std::uint64_t session, OwnerId owner);

  std::uint64_t ordinary() const { return ordinary_.size(); }
  // Sessions that found no ordinary place.
  std::uint64_t turned_away() const { return turned_away_; }
  const Limits& limits() const { return limits_; }

 private:
  Status room_for(OwnerId owner) const;

  Limits limits_;
  std::map<std::uint64_t, OwnerId> ordinary_;  // by session
  std::map<OwnerId, std::uint64_t> of_owner_;
  std::deque<std::uint64_t> operators_;  // in the order in which they came
  std::uint64_t turned_away_ = 0;
};

}  // namespace rk::daemon
