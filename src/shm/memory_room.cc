// SPDX-License-Identifier: Apache-2.0
#include "shm/memory_room.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace rk::shm {
namespace {

// A version 1 group without a limit reports the largest multiple of its page size below 2^63.
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 62U;

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

// The number after "key" at the start of a line.
std::optional<std::uint64_t> number_after(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key)) return parse_number(std::string_view(line).substr(key.size()));
  return std::nullopt;
}

struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* droppable;  // key in memory.stat of the page cache that goes first
};
constexpr GroupFiles kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "};
constexpr GroupFiles kVersion2{"memory.max", "memory.current", "inactive_file "};

struct Hierarchy {
  GroupFiles files;
  std::string mount_point;
  std::string mount_root;  // the group that is visible at the mount point
  std::string group;       // of this process
};

bool lists(std::string_view comma_separated, std::string_view word) {
  while (!comma_separated.empty()) {
    const auto comma = comma_separated.find(',');
    if (comma_separated.substr(0, comma) == word) return true;
    if (comma == std::string_view::npos) break;
    comma_separated.remove_prefix(comma + 1);
  }
  return false;
}

// Lines of /proc/self/cgroup: "number:controllers:path"; version 2 is "0::path".
std::optional<std::string> group_path(const std::string& cgroups, bool version2) {
  std::istringstream lines(cgroups);
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    if (first == std::string::npos) continue;
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    if (version2 ? (controllers.empty() && line.starts_with("0:")) : lists(controllers, "memory"))
      return line.substr(second + 1);
  }
  return std::nullopt;
}

// Lines of mountinfo: "id parent major:minor root mountpoint options [tags] - type source superoptions".
std::vector<Hierarchy> hierarchies(const std::string& mounts, const std::string& cgroups) {
  std::vector<Hierarchy> out;
  std::istringstream lines(mounts);
  for (std::string line; std::getline(lines, line);) {
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream head(line.substr(0, dash));
    std::istringstream tail(line.substr(dash + 3));
    std::string id, parent, device, root, point, type, source, options;
    head >> id >> parent >> device >> root >> point;
    tail >> type >> source >> options;
    const bool version2 = type == "cgroup2";
    if (!version2 && !(type == "cgroup" && lists(options, "memory"))) continue;
    if (auto group = group_path(cgroups, version2))
      out.push_back({version2 ? kVersion2 : kVersion1, point, root, *std::move(group)});
  }
  return out;
}

// The group's path below the mount point. A mount that shows another subtree (a container without a group namespace)
// is taken as showing our own group at its top.
std::string below_mount(const Hierarchy& hierarchy) {
  std::string path = hierarchy.group;
  if (hierarchy.mount_root != "/") {
    if (!path.starts_with(hierarchy.mount_root)) return "";
    path.erase(0, hierarchy.mount_root.size());
  }
  while (path.ends_with('/')) path.pop_back();
  return path.find("..") == std::string::npos ? path : "";
}

void apply(const std::string& root, const Hierarchy& hierarchy, const std::string& relative, MemoryRoom& room) {
  const std::string directory = root + hierarchy.mount_point + relative + "/";
  const auto limit_text = read_file(directory + hierarchy.files.limit);
  if (!limit_text) return;
  const auto limit = parse_number(*limit_text);  // "max" is no number: no limit
  if (!limit || *limit >= kNoLimit) return;
  const std::string who = "control group " + hierarchy.mount_point + relative;
  if (*limit < room.capacity_bytes) {
    room.capacity_bytes = *limit;
    room.capacity_limit = who;
  }
  const auto usage_text = read_file(directory + hierarchy.files.usage);
  const std::uint64_t usage = usage_text ? parse_number(*usage_text).value_or(0) : 0;
  const auto stat = read_file(directory + "memory.stat");
  const std::uint64_t droppable = stat ? number_after(*stat, hierarchy.files.droppable).value_or(0) : 0;
  const std::uint64_t held = usage - std::min(usage, droppable);
  const std::uint64_t left = *limit - std::min(*limit, held);
  if (left < room.available_bytes) {
    room.available_bytes = left;
    room.available_limit = who;
  }
}

}  // namespace

Result<MemoryRoom> memory_room(const std::string& root) {
  const auto meminfo = read_file(root + "/proc/meminfo");
  const auto total = meminfo ? number_after(*meminfo, "MemTotal:") : std::nullopt;
  const auto available = meminfo ? number_after(*meminfo, "MemAvailable:") : std::nullopt;
  if (!total || !available)
    return fail(ErrorCode::kIo, "cannot read MemTotal and MemAvailable from " + root +
                                    "/proc/meminfo: mount /proc before starting the server");
  MemoryRoom room{*total * 1024, *available * 1024, "the machine", "the machine"};
  const auto cgroups = read_file(root + "/proc/self/cgroup");
  const auto mounts = read_file(root + "/proc/self/mountinfo");
  if (!cgroups || !mounts) return room;
  for (const Hierarchy& hierarchy : hierarchies(*mounts, *cgroups)) {
    std::string relative = below_mount(hierarchy);
    for (;;) {
      apply(root, hierarchy, relative, room);
      const auto slash = relative.rfind('/');
      if (slash == std::string::npos) break;
      relative.erase(slash);
    }
  }
  return room;
}

}  // namespace rk::shm
