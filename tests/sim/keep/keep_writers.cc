// SPDX-License-Identifier: Apache-2.0
// What the simulated clients write.
#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "tests/sim/keep/keep_clients.h"
#include "tests/sim/keep/keep_cluster.h"
#include "wire/version_sum.h"

namespace rk::keep_sim {

void Clients::write(sim::HostId host, const std::string& name) {
  static constexpr std::array<std::uint64_t, 5> kSizes = {0, 100, 1000, 4500, 9000};
  Operation operation;
  operation.host = host;
  operation.key = key_of(name);
  operation.sender = writer_of(name);
  operation.level = prng_.chance(9, 10) ? wire::CommitLevel::kReplicated : wire::CommitLevel::kLocal;
  auto& sizes = sizes_.try_emplace(name).first->second;
  if (prng_.chance(1, 4)) sizes = {kSizes[prng_.below(kSizes.size())], kSizes[prng_.below(kSizes.size())]};
  wire::CheckpointBegin begin{name, {{"one", sizes[0]}, {"two", sizes[1]}}};
  if (prng_.chance(1, 2))
    operation.request = put_of(begin, operation);
  else
    operation.request = std::move(begin);
  ask(std::move(operation));
}

void Clients::burst(sim::HostId host, const std::string& name) {
  ++totals().bursts;
  for (std::uint64_t left = prng_.between(10, 64); left > 0; --left) write(host, name);
}

// A community writes such a name. It begins a new life now and then, and what is left of the one before writes on.
Incarnation Clients::writer_of(const std::string& name) {
  if (!name.starts_with("name")) return {};
  Incarnation& newest = writers_[name];
  if (!newest || prng_.chance(1, 200)) newest = Incarnation(newest.value + 1);
  return newest > Incarnation(1) && prng_.chance(1, 10) ? Incarnation(newest.value - 1) : newest;
}

// The same in one message.
keep::Put Clients::put_of(const wire::CheckpointBegin& begin, Operation& operation) {
  std::vector<wire::SectionPlace> table;
  std::uint64_t offset = 0;
  for (const wire::SectionSpec& section : begin.sections) {
    table.push_back({section.name, offset, section.size, 0});
    offset = (offset + section.size + wire::kPutAlignment - 1) / wire::kPutAlignment * wire::kPutAlignment;
  }
  Bytes all(offset);
  write_slot(operation.host, operation.key, table, all);
  for (wire::SectionPlace& section : table) {
    const ByteView bytes = ByteView(all).subspan(section.offset, section.size);
    section.sum = checksum(bytes);
    operation.bytes.emplace_back(bytes.begin(), bytes.end());
  }
  if (offset > 0) operation.sum = wire::version_sum(table);
  return {begin.name, begin.sections, operation.level, static_cast<std::uint32_t>(prng_.between(300, 2000))};
}

// New bytes, or often those of the newest version that has the same places, with some pages changed. Never twice the
// same: a commit that was FAILED is known by its bytes.
void Clients::write_slot(sim::HostId host, const wire::KeepKey& key, const std::vector<wire::SectionPlace>& table,
                         std::span<std::byte> bytes) {
  const std::uint64_t stamp = prng_.next();
  KeepHost* life = cluster_.host(host);
  const keep::Entry* entry = life != nullptr ? life->core().catalogue().find(key) : nullptr;
  const Bytes* before = nullptr;
  if (entry != nullptr && prng_.chance(3, 4))
    for (const auto& [version, record] : entry->versions)
      if (record.here && record.slot && record.content.total == bytes.size() &&
          std::equal(table.begin(), table.end(), record.content.sections.begin(), record.content.sections.end(),
                     [](const auto& one, const auto& other) { return one.offset == other.offset; }))
        before = &life->slot(record.slot);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = before != nullptr && (stamp >> (i / 4096 % 60) & 7U) != 0
                   ? (*before)[i]
                   : static_cast<std::byte>((stamp >> (i % 8 * 8)) ^ (i / 4096));
  const wire::SectionPlace& section = table[table[0].size == 0 || (table[1].size > 0 && prng_.chance(1, 2)) ? 1 : 0];
  for (std::size_t i = 0; i < std::min<std::size_t>(section.size, 8); ++i)
    bytes[section.offset + i] = static_cast<std::byte>(stamp >> (i * 8));
}

}  // namespace rk::keep_sim
