// SPDX-License-Identifier: Apache-2.0
#include "cli/checkpoints.h"

#include <algorithm>
#include <charconv>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "client/checkpoint.h"

namespace rk::cli {
namespace {

constexpr std::size_t kWidestName = 40;  // wider ones push their line to the right

std::string numbers(const std::vector<NodeId>& nodes) {
  std::string out;
  for (const NodeId node : nodes) out += (out.empty() ? "" : ", ") + std::to_string(node.value);
  return out.empty() ? "none" : out;
}

std::string home_of(NodeId home) { return home ? "server " + std::to_string(home.value) : "none"; }

std::string version_of(Version version) { return version ? std::to_string(version.value) : "none"; }

// What is wrong with it; empty: nothing.
std::string trouble(const wire::CheckpointEntry& entry, bool colours) {
  if (entry.lost) return coloured("LOST: newer versions are gone", "31", colours);
  if (entry.holders.empty()) return coloured("no copy of the newest version", "31", colours);
  if (entry.holders.size() == 1) return coloured("one copy", "33", colours);
  return {};
}

// Asks for the table and prints it in one of two ways.
template <class Text>
int show_table(const ListOptions& options, Text text) {
  const auto reached = reach(options.asked);
  if (!reached) return not_reached(reached.error());
  say_who_answered(reached->instead_of);
  const auto table = fetch_table(*reached->connection, options.prefix);
  if (!table) return complain(table.error());
  print(options.json ? to_json(*table) : text(*table));
  return kSuccess;
}

std::string totals(const CheckpointTable& table) {
  std::uint64_t bytes = 0;
  for (const wire::CheckpointEntry& entry : table.entries) bytes += entry.bytes;
  return std::to_string(table.entries.size()) + (table.entries.size() == 1 ? " checkpoint" : " checkpoints") + ", " +
         std::to_string(bytes) + " bytes in their newest versions\n";
}

}  // namespace

Result<CheckpointTable> fetch_table(client::Connection& connection, const std::string& prefix) {
  CheckpointTable out;
  std::string after;
  for (;;) {
    RK_TRY(auto page, connection.call<wire::CheckpointListAnswer>(wire::CheckpointList{prefix, after}));
    std::move(page.entries.begin(), page.entries.end(), std::back_inserter(out.entries));
    out.servers = std::move(page.servers);
    if (page.next.empty()) return out;
    if (page.next <= after)
      return fail(ErrorCode::kCorrupt, "the server's list goes in a circle: install matching releases");
    after = std::move(page.next);
  }
}

Result<NamedVersion> parse_named_version(const std::string& text) {
  NamedVersion out{text, {}};
  const auto at = text.rfind('@');
  const bool numbered = at != std::string::npos && at + 1 < text.size() &&
                        std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at) + 1, text.end(),
                                    [](char c) { return c >= '0' && c <= '9'; });
  if (numbered) {
    const char* const end = text.data() + text.size();
    if (std::from_chars(text.data() + at + 1, end, out.version.value).ec != std::errc())
      return fail(ErrorCode::kInvalidArgument, "no version has a number as large as " + text.substr(at + 1));
    out.name.resize(at);
  }
  if (out.name.empty())
    return fail(ErrorCode::kInvalidArgument, "\"" + text + "\" names no checkpoint: give NAME or NAME@VERSION");
  return out;
}

std::string checkpoint_table(const CheckpointTable& table, bool colours) {
  if (table.entries.empty()) return "no checkpoints\n";
  std::size_t width = 4;
  for (const wire::CheckpointEntry& entry : table.entries) width = std::max(width, shown(entry.name).size());
  width = std::min(width, kWidestName) + 2;
  std::string out =
      padded("name", width) + padded("newest", 14) + padded("bytes", 14) + padded("home", 12) + "copies at servers\n";
  for (const wire::CheckpointEntry& entry : table.entries) {
    out += padded(shown(entry.name), width) + padded(version_of(entry.newest), 14) +
           padded(std::to_string(entry.bytes), 14) + padded(home_of(entry.home), 12) + numbers(entry.holders);
    if (const std::string what = trouble(entry, colours); !what.empty()) out += "  " + what;
    out += "\n";
  }
  return out + totals(table);
}

std::string usage_table(const CheckpointTable& table) {
  std::string out = padded("server", 8) + padded("bytes taken", 16) + "quota\n";
  for (const wire::ServerUsage& server : table.servers) {
    const bool limited = server.quota_bytes != UINT64_MAX;
    out += padded(std::to_string(server.node.value), 8) + padded(std::to_string(server.bytes), 16) +
           (limited ? std::to_string(server.quota_bytes) : "none: the server's memory is the limit") + "\n";
  }
  return out + totals(table);
}

std::string inspected_text(const std::string& name, const wire::CheckpointInspected& answer, bool colours) {
  std::string out =
      shown(name) + ", written at " + (answer.home ? home_of(answer.home) : "no server of this view") + "\n";
  if (!answer.lost.empty()) out += "  " + coloured("LOST: " + shown(answer.lost), "31", colours) + "\n";
  for (const wire::InspectedVersion& version : answer.versions) {
    out += "  version " + std::to_string(version.version.value) + ", " + std::to_string(version.total) +
           " bytes of memory, sum " + hex(version.sum) + ", copies at servers: " + numbers(version.holders) + "\n";
    for (const wire::SectionPlace& section : version.sections)
      out += "    " + padded(shown(section.name), 24) + padded(std::to_string(section.size) + " bytes", 20) + "sum " +
             hex(section.sum) + "\n";
  }
  return out;
}

int list_checkpoints(const ListOptions& options) {
  return show_table(options, [](const CheckpointTable& table) { return checkpoint_table(table, colours_on(stdout)); });
}

int show_usage(const ListOptions& options) {
  return show_table(options, [](const CheckpointTable& table) { return usage_table(table); });
}

int inspect_checkpoint(const InspectOptions& options) {
  const auto what = parse_named_version(options.what);
  if (!what) return complain(what.error());
  const auto reached = reach(options.asked);
  if (!reached) return not_reached(reached.error());
  say_who_answered(reached->instead_of);
  auto answer = reached->connection->call<wire::CheckpointInspected>(wire::CheckpointInspect{what->name});
  if (!answer) return complain(answer.error());
  if (what->version) {
    std::erase_if(answer->versions, [&](const auto& item) { return item.version != what->version; });
    if (answer->versions.empty())
      return complain({ErrorCode::kNotFound, "version " + std::to_string(what->version.value) + " of \"" + what->name +
                                                 "\" is not kept: `ringkeep inspect` without it says "
                                                 "which are"});
  }
  print(options.json ? to_json(what->name, *answer) : inspected_text(what->name, *answer, colours_on(stdout)));
  return kSuccess;
}

int remove_checkpoints(const RemoveOptions& options) {
  const auto reached = reach(options.asked);
  if (!reached) return not_reached(reached.error());
  say_who_answered(reached->instead_of);
  int code = kSuccess;
  for (const std::string& name : options.names)
    if (const Status removed = client::remove_checkpoint(*reached->connection, name); !removed)
      code = complain(removed.error());
  return code;
}

}  // namespace rk::cli
