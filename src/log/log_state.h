// SPDX-License-Identifier: Apache-2.0
// Where a process stands in its own history of messages and outcomes: part of its checkpoint. A restart re-executes the
// prologue from the log and then jumps to the checkpoint's state.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "log/sequence_set.h"

namespace rk::log {

// A place in the outcome stream: `run` outcomes of entry `item` + 1 are behind it.
struct OutcomePosition {
  std::uint64_t item = 0;
  std::uint64_t run = 0;
  bool operator==(const OutcomePosition&) const = default;
};

struct LogState {
  std::uint64_t order = 0;            // messages sent to other communities
  std::vector<std::uint64_t> sent;    // last ssn per destination
  std::vector<SequenceSet> consumed;  // ssn per source
  std::uint64_t rsn = 0;              // last rsn given
  std::uint64_t postings = 0;         // last posting number given
  std::uint64_t matches = 0;          // items of the match stream
  OutcomePosition outcomes;
  bool operator==(const LogState&) const = default;
};

Bytes encode(const LogState& state);
Result<LogState> decode_log_state(ByteView bytes);

}  // namespace rk::log
