// SPDX-License-Identifier: Apache-2.0
// The frames of several connections that have begun and not ended. What they take together is limited: beyond it the
// one that began first ends with its connection, so that whoever sends without pause gets through. So does one that
// lasts too long. Outlives the connections that tell of theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace rk::io {

class Connection;

class UnfinishedFrames {
 public:
  struct Limits {
    std::size_t bytes = std::size_t{64} << 20U;  // of all together
    std::uint64_t ms = 60'000;                   // from the first byte of one to its last
  };
  explicit UnfinishedFrames(Limits limits) : limits_(limits) {}

  // What the connection has of a frame now; 0: nothing.
  void note(Connection& connection, std::size_t bytes, std::uint64_t now_ms);
  // Ends connections whose frame lasts too long.
  void on_tick(std::uint64_t now_ms);
  std::size_t bytes() const { return bytes_; }

 private:
  struct Unfinished {
    std::uint64_t began_ms = 0;
    std::uint64_t order = 0;
    std::size_t bytes = 0;
  };
  void end_first();

  Limits limits_;
  std::map<Connection*, Unfinished> all_;
  std::map<std::uint64_t, Connection*> by_order_;
  std::uint64_t last_order_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace rk::io
