// SPDX-License-Identifier: Apache-2.0
#include "log/log_state.h"

#include "log/layout.h"

namespace rk::log {

namespace {

constexpr std::uint32_t kStateMagic = 0x74734b52;  // "RKst"
constexpr std::uint16_t kStateVersion = 1;
constexpr std::size_t kMaxAbove = std::size_t{1} << 24U;  // messages consumed out of order, per source

}  // namespace

Bytes encode(const LogState& state) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.integer(kStateMagic);
  out.integer(kStateVersion);
  out.integer(state.order);
  out.integer(state.rsn);
  out.integer(state.postings);
  out.integer(state.matches);
  out.integer(state.outcomes.item);
  out.integer(state.outcomes.run);
  out.integer(static_cast<std::uint32_t>(state.sent.size()));
  for (const std::uint64_t ssn : state.sent) out.integer(ssn);
  out.integer(static_cast<std::uint32_t>(state.consumed.size()));
  for (const SequenceSet& set : state.consumed) set.encode(out);
  return bytes;
}

Result<LogState> decode_log_state(ByteView bytes) {
  ByteReader in(bytes);
  LogState state;
  if (in.integer<std::uint32_t>() != kStateMagic)
    return fail(ErrorCode::kCorrupt, "not the log state of a checkpoint: restore another version");
  if (in.integer<std::uint16_t>() != kStateVersion)
    return fail(ErrorCode::kVersionMismatch,
                "log state of another format: restore it with the release of Ringkeep that wrote it");
  state.order = in.integer<std::uint64_t>();
  state.rsn = in.integer<std::uint64_t>();
  state.postings = in.integer<std::uint64_t>();
  state.matches = in.integer<std::uint64_t>();
  state.outcomes.item = in.integer<std::uint64_t>();
  state.outcomes.run = in.integer<std::uint64_t>();
  const auto destinations = in.integer<std::uint32_t>();
  if (destinations > kMaxProcesses) in.mark_failed();
  for (std::uint32_t i = 0; i < destinations && !in.failed(); ++i) state.sent.push_back(in.integer<std::uint64_t>());
  const auto sources = in.integer<std::uint32_t>();
  if (sources > kMaxProcesses) in.mark_failed();
  for (std::uint32_t i = 0; i < sources && !in.failed(); ++i)
    state.consumed.push_back(SequenceSet::decode(in, kMaxAbove));
  RK_TRY_VOID(in.finish("log state of a checkpoint"));
  return state;
}

}  // namespace rk::log
