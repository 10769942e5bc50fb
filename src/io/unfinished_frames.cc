// SPDX-License-Identifier: Apache-2.0
#include "io/unfinished_frames.h"

#include <string>

#include "io/connection.h"

namespace rk::io {

void UnfinishedFrames::note(Connection& connection, std::size_t bytes, std::uint64_t now_ms) {
  const auto at = all_.find(&connection);
  if (bytes == 0) {
    if (at == all_.end()) return;
    bytes_ -= at->second.bytes;
    by_order_.erase(at->second.order);
    all_.erase(at);
    return;
  }
  if (at == all_.end()) {
    all_[&connection] = {now_ms, ++last_order_, bytes};
    by_order_[last_order_] = &connection;
    bytes_ += bytes;
  } else {
    bytes_ += bytes - at->second.bytes;
    at->second.bytes = bytes;
  }
  while (bytes_ > limits_.bytes) end_first();
}

// Its connection tells that nothing is left of it.
void UnfinishedFrames::end_first() {
  by_order_.begin()->second->refuse(Error{
      ErrorCode::kNoMemory, std::to_string(bytes_) +
                                " bytes of requests have begun and not ended at this server, more " + "than the " +
                                std::to_string(limits_.bytes) + " that it has for them, and this one began " +
                                "first: send requests as a whole"});
}

void UnfinishedFrames::on_tick(std::uint64_t now_ms) {
  while (!by_order_.empty()) {
    Connection* const first = by_order_.begin()->second;
    if (now_ms < all_.at(first).began_ms + limits_.ms) return;
    first->refuse(Error{ErrorCode::kTimeout, "a request has begun and not ended for " + std::to_string(limits_.ms) +
                                                 " ms: send requests as a whole"});
  }
}

}  // namespace rk::io
