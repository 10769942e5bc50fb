// SPDX-License-Identifier: Apache-2.0
// What must hold, judged outside of the log's own code, by what the simulated programs see:
//   - every life of a process sees at each of its operations what the first life that came so far saw;
//   - the n-th message from one process to another always has the same bytes;
//   - a process's history (its checkpoint and what follows) gets each message at most once, with the bytes that were
//     sent, and at the end exactly those that its program asks for;
//   - a process whose community has not failed never starts again.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace rk::log {

class LogChecker {
 public:
  explicit LogChecker(std::size_t ranks) : seen_(ranks), sent_to_(ranks), consumed_(ranks) {}

  using Consumed = std::set<std::pair<std::uint32_t, std::uint64_t>>;  // (source, ssn)

  void observed(std::uint32_t rank, std::size_t op, std::uint64_t digest);
  void sent(std::uint32_t source, std::uint32_t dest, std::uint64_t ssn, std::uint64_t digest);
  void received(std::uint32_t rank, std::uint32_t source, std::uint64_t ssn, std::uint64_t digest);
  // A new life, at the start of its history or at a checkpoint's.
  void history(std::uint32_t rank, Consumed consumed) { consumed_[rank] = std::move(consumed); }
  const Consumed& consumed(std::uint32_t rank) const { return consumed_[rank]; }
  // At the end of a program whose every message is asked for.
  void all_received(std::uint32_t rank);
  void violate(const std::string& what) {
    if (violation_.empty()) violation_ = what;
  }
  const std::string& violation() const { return violation_; }

 private:
  std::vector<std::vector<std::uint64_t>> seen_;                                           // [rank][op]
  std::vector<std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t>> sent_to_;  // [dest](source, ssn)
  std::vector<Consumed> consumed_;
  std::string violation_;
};

}  // namespace rk::log
