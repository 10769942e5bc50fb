// SPDX-License-Identifier: Apache-2.0
#include "launch/options.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "wire/client_messages.h"

namespace rk::launch {
namespace {

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// "2.5s", "300ms", "2": seconds unless it says ms.
std::optional<std::uint64_t> milliseconds(std::string_view text) {
  double factor = 1000;
  if (text.ends_with("ms")) {
    factor = 1;
    text.remove_suffix(2);
  } else if (text.ends_with("s")) {
    text.remove_suffix(1);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  if (!(value >= 0) || value * factor > 1e12) return std::nullopt;
  return static_cast<std::uint64_t>(std::llround(value * factor));
}

std::string_view trimmed(std::string_view line) {
  line = line.substr(0, line.find('#'));
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) line.remove_suffix(1);
  return line;
}

Status check_counts(std::uint32_t ranks, std::uint32_t communities) {
  if (ranks == 0 || communities == 0)
    return fail(ErrorCode::kInvalidArgument, "a job needs at least one process and one community: give -n 1 or more");
  if (ranks > wire::kMaxRanks)
    return fail(ErrorCode::kInvalidArgument, std::to_string(ranks) + " processes are more than the limit of " +
                                                 std::to_string(wire::kMaxRanks) + ": start fewer");
  if (communities > ranks)
    return fail(ErrorCode::kInvalidArgument, std::to_string(communities) + " communities are more than " +
                                                 std::to_string(ranks) +
                                                 " processes: every community needs one, so lower --communities or "
                                                 "raise -n");
  return {};
}

}  // namespace

Result<KillRequest> parse_kill(std::string_view text, std::uint32_t ranks) {
  const auto wrong = [&](const std::string& why) {
    return fail(ErrorCode::kInvalidArgument, "--kill " + std::string(text) + ": " + why +
                                                 "; write RANK@2.5s (time of the job) or RANK@msg:5000 (messages sent "
                                                 "to other communities)");
  };
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos) return wrong("has no '@'");
  const auto rank = whole_number(text.substr(0, at));
  if (!rank) return wrong("the rank is not a number");
  if (*rank >= ranks) return wrong("the job has ranks 0 to " + std::to_string(ranks - 1));
  KillRequest request;
  request.rank = Rank(static_cast<std::uint32_t>(*rank));
  request.text = std::string(text);
  const std::string_view when = text.substr(at + 1);
  if (when.starts_with("msg:")) {
    request.at_message = whole_number(when.substr(4));
    if (!request.at_message || *request.at_message == 0) return wrong("the count of messages is not a number above 0");
  } else {
    request.at_ms = milliseconds(when);
    if (!request.at_ms) return wrong("the moment is not understood");
  }
  return request;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  const auto number = whole_number(text.substr(0, digits));
  const std::string_view unit = text.substr(digits);
  unsigned shift = 64;
  if (unit.empty() || unit == "B") shift = 0;
  if (unit == "K" || unit == "KiB") shift = 10;
  if (unit == "M" || unit == "MiB") shift = 20;
  if (unit == "G" || unit == "GiB") shift = 30;
  if (unit == "T" || unit == "TiB") shift = 40;
  if (!number || shift > 63 || *number > (std::numeric_limits<std::uint64_t>::max() >> shift))
    return fail(ErrorCode::kInvalidArgument,
                "'" + std::string(text) + "' is not a size: write a number with K, M, G or T, as in 512M");
  return *number << shift;
}

Result<std::vector<CommunityId>> blocks_partition(std::uint32_t ranks, std::uint32_t communities) {
  RK_TRY_VOID(check_counts(ranks, communities));
  std::vector<CommunityId> out;
  const std::uint32_t size = ranks / communities;
  const std::uint32_t larger = ranks % communities;
  for (std::uint32_t community = 0; community < communities; ++community)
    out.insert(out.end(), size + (community < larger ? 1 : 0), CommunityId(community));
  return out;
}

Result<std::vector<CommunityId>> parse_partition(std::string_view text, std::uint32_t ranks,
                                                 std::uint32_t communities) {
  RK_TRY_VOID(check_counts(ranks, communities));
  std::vector<CommunityId> out;
  std::vector<bool> used(communities, false);
  std::uint32_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty()) continue;
    const auto community = whole_number(line);
    if (!community || *community >= communities)
      return fail(ErrorCode::kInvalidArgument, "line " + std::to_string(number) +
                                                   " of the partition is not a community number from 0 to " +
                                                   std::to_string(communities - 1) + ": write one number a rank");
    used[*community] = true;
    out.emplace_back(static_cast<std::uint32_t>(*community));
  }
  if (out.size() != ranks)
    return fail(ErrorCode::kInvalidArgument, "the partition names " + std::to_string(out.size()) +
                                                 " ranks, the job has " + std::to_string(ranks) +
                                                 ": write one line a rank");
  for (std::uint32_t community = 0; community < communities; ++community)
    if (!used[community])
      return fail(ErrorCode::kInvalidArgument, "the partition leaves community " + std::to_string(community) +
                                                   " empty: lower --communities or give it a rank");
  return out;
}

}  // namespace rk::launch
