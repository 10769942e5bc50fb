// SPDX-License-Identifier: Apache-2.0
// Commits that nobody waits for: each is handed over with a tag, and its outcome is taken later. They are ordinary
// requests whose answers are fetched later (Connection::post), beside the calls that wait.
//
// Each commit that was started has exactly one outcome, whatever becomes of the server: one that says nothing in time,
// or ends, leaves it unknown. An OK is judged when it is taken, as a commit that waits does: after the server's lease
// the server is asked again whether it has the version, and the outcome comes with that answer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/checkpoint.h"
#include "client/connection.h"

namespace rk::client {

// Of one connection, outcomes that were not taken included: as many versions as a connection may write at a time
// (keep::Config::max_open_writes_per_session).
inline constexpr std::size_t kMaxCommitsInFlight = 256;

struct AsyncOrder {
  std::uint64_t tag = 0;  // the caller's, given back with the outcome
  wire::CommitLevel level = wire::CommitLevel::kReplicated;
  std::uint32_t timeout_ms = 0;  // of the outcome
  bool more = false;             // another one follows at once (Connection::post)
};

struct AsyncOutcome {
  std::uint64_t tag = 0;
  Result<Committed> result;  // errors as of Writer::commit()
};

class AsyncCommits {
 public:
  explicit AsyncCommits(Connection& connection) : connection_(connection) {}

  // One section "data". More than kPutBytes wait for the server's memory first, as Writer::begin() does. An error:
  // nothing was changed, and there will be no outcome.
  Status put(const std::string& name, ByteView data, const AsyncOrder& order);
  template <class Request>
  Status start(const Request& request, const std::string& name, Incarnation incarnation, const AsyncOrder& order) {
    RK_TRY_VOID(require_room());
    RK_TRY(const std::uint64_t number, connection_.post(request, incarnation, order.more));
    note(number, {order.tag, name, order.timeout_ms, 0, std::nullopt});
    return {};
  }
  // Adds the outcomes that are there, at most `capacity`; if there is none, waits for the first, at most timeout_ms.
  // Does not wait when nothing is in flight. An error, and nothing added: the connection has ended, and all outcomes
  // were taken.
  Status take(std::vector<AsyncOutcome>& out, std::size_t capacity, std::uint32_t timeout_ms);
  std::size_t in_flight() const { return open_.size(); }
  // Readable when take() may have something. It belongs to the connection.
  Result<int> descriptor();

 private:
  struct Open {
    std::uint64_t tag = 0;
    std::string name;
    std::uint32_t timeout_ms = 0;
    std::uint64_t deadline_ms = 0;           // on boot_time_ms()
    std::optional<wire::CommitAnswer> late;  // an OK that did not count: asked again
  };
  Status require_room() const;
  void note(std::uint64_t request, Open open);
  void take_answers(std::vector<AsyncOutcome>& out, std::size_t capacity);
  void take_overdue(std::vector<AsyncOutcome>& out, std::size_t capacity);
  std::optional<Result<Committed>> judge(Open& open, const wire::Frame& answer);
  std::optional<Result<Committed>> ask_again(Open& open);
  Result<Committed> confirm(const Open& open, const wire::CheckpointContent& content) const;
  void rest();

  Connection& connection_;
  std::map<std::uint64_t, Open> open_;            // by request
  std::uint64_t first_deadline_ms_ = UINT64_MAX;  // none is over before
};

}  // namespace rk::client
