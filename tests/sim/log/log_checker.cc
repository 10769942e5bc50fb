// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/log/log_checker.h"

namespace rk::log {

namespace {

std::string message_name(std::uint32_t source, std::uint32_t dest, std::uint64_t ssn) {
  return "message " + std::to_string(ssn) + " from " + std::to_string(source) + " to " + std::to_string(dest);
}

}  // namespace

void LogChecker::observed(std::uint32_t rank, std::size_t op, std::uint64_t digest) {
  auto& seen = seen_[rank];
  if (op == seen.size()) {
    seen.push_back(digest);
  } else if (op > seen.size()) {
    violate("process " + std::to_string(rank) + " skipped to operation " + std::to_string(op));
  } else if (seen[op] != digest) {
    violate("process " + std::to_string(rank) + " saw at operation " + std::to_string(op) +
            " something else than an earlier life");
  }
}

void LogChecker::sent(std::uint32_t source, std::uint32_t dest, std::uint64_t ssn, std::uint64_t digest) {
  const auto [at, fresh] = sent_to_[dest].emplace(std::pair(source, ssn), digest);
  if (!fresh && at->second != digest) violate(message_name(source, dest, ssn) + " was sent again with other bytes");
}

void LogChecker::received(std::uint32_t rank, std::uint32_t source, std::uint64_t ssn, std::uint64_t digest) {
  const auto at = sent_to_[rank].find({source, ssn});
  if (at == sent_to_[rank].end())
    violate(message_name(source, rank, ssn) + " was received and never sent");
  else if (at->second != digest)
    violate(message_name(source, rank, ssn) + " was received with other bytes than it was sent with");
  if (!consumed_[rank].emplace(source, ssn).second) violate(message_name(source, rank, ssn) + " was received twice");
}

void LogChecker::all_received(std::uint32_t rank) {
  for (const auto& [key, digest] : sent_to_[rank])
    if (!consumed_[rank].contains(key)) violate(message_name(key.first, rank, key.second) + " was never received");
}

}  // namespace rk::log
