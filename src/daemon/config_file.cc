// SPDX-License-Identifier: Apache-2.0
// The TOML form of the configuration. Every key that is not known is an error: a mistyped limit must not silently be no
// limit. The only user of toml++.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

#include "daemon/config.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace rk::daemon {
namespace {

constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20U;

// Reads the keys of one table; each error has its place.
class TableReader {
 public:
  using Setter = std::function<Status(const toml::node&)>;

  TableReader(const std::string& file, std::string where) : file_(file), where_(std::move(where)) {}

  void key(const std::string& name, const Setter& setter) { setters_.emplace(name, setter); }
  void text(const std::string& name, std::function<Status(const std::string&)> setter) {
    key(name, [setter = std::move(setter)](const toml::node& node) -> Status {
      const auto value = node.value_exact<std::string>();
      if (!value) return fail(ErrorCode::kInvalidArgument, "it must be a text in quotes");
      return setter(*value);
    });
  }
  void truth(const std::string& name, bool& field) {
    key(name, [&field](const toml::node& node) -> Status {
      const auto value = node.value_exact<bool>();
      if (!value) return fail(ErrorCode::kInvalidArgument, "it must be true or false");
      field = *value;
      return {};
    });
  }
  void number(const std::string& name, std::uint64_t lowest, std::uint64_t highest,
              const std::function<void(std::uint64_t)>& setter) {
    key(name, [=](const toml::node& node) -> Status {
      const auto value = node.value_exact<std::int64_t>();
      if (!value || *value < 0 || static_cast<std::uint64_t>(*value) < lowest ||
          static_cast<std::uint64_t>(*value) > highest)
        return fail(ErrorCode::kInvalidArgument,
                    "it must be a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest));
      setter(static_cast<std::uint64_t>(*value));
      return {};
    });
  }

  Status read(const toml::table& table) const {
    for (const auto& [name, node] : table) {
      const auto setter = setters_.find(std::string(name.str()));
      if (setter == setters_.end()) {
        std::string known;
        for (const auto& [other, unused] : setters_) known += (known.empty() ? "" : ", ") + other;
        return at(name.source(), name.str(), "no such key; the keys here are " + known);
      }
      if (auto status = setter->second(node); !status) return at(name.source(), name.str(), status.error().message);
    }
    return {};
  }

 private:
  Status at(const toml::source_region& region, std::string_view key, const std::string& what) const {
    return fail(ErrorCode::kInvalidArgument,
                file_ + ":" + std::to_string(region.begin.line) + ": " + where_ + std::string(key) + ": " + what);
  }

  const std::string& file_;
  std::string where_;
  std::map<std::string, Setter> setters_;
};

Status read_server(const toml::table& table, const std::string& file, Config& config) {
  io::RosterEntry entry;
  TableReader reader(file, "server.");
  reader.number("node", 1, UINT32_MAX, [&](std::uint64_t v) { entry.node = NodeId(static_cast<std::uint32_t>(v)); });
  reader.text("address", [&](const std::string& value) -> Status {
    RK_TRY(entry.address, io::parse_host_port(value));
    return {};
  });
  std::string rack;
  reader.text("rack", [&](const std::string& value) -> Status {
    rack = value;
    return check_rack(value);
  });
  bool witness = false;
  reader.truth("witness", witness);
  RK_TRY_VOID(reader.read(table));
  if (!entry.node || entry.address.host.empty())
    return fail(ErrorCode::kInvalidArgument, file + ":" + std::to_string(table.source().begin.line) +
                                                 ": server: it needs both 'node' and 'address'");
  if (!rack.empty()) config.racks[entry.node] = rack;
  if (witness && config.witness)
    return fail(ErrorCode::kInvalidArgument, file + ":" + std::to_string(table.source().begin.line) +
                                                 ": server.witness: server " + std::to_string(config.witness.value) +
                                                 " is the witness already; a ring has one at most");
  if (witness) config.witness = entry.node;
  config.roster.push_back(entry);
  return {};
}

Status read_limits(const toml::table& table, const std::string& file, Limits& limits) {
  TableReader reader(file, "limits.");
  reader.number("clients", 1, 65536, [&](std::uint64_t v) { limits.clients = v; });
  reader.number("owner_clients", 1, 65536, [&](std::uint64_t v) { limits.owner_clients = v; });
  reader.number("jobs", 1, 4096, [&](std::uint64_t v) { limits.jobs = v; });
  reader.number("ranks", 1, 65536, [&](std::uint64_t v) { limits.ranks = v; });
  reader.number("owner_names", 1, std::uint64_t{1} << 24U, [&](std::uint64_t v) { limits.owner_names = v; });
  reader.number("unproven_peers", 1, 1024, [&](std::uint64_t v) { limits.unproven_peers = v; });
  reader.number("hello_ms", 10, 600'000, [&](std::uint64_t v) { limits.hello_ms = v; });
  reader.number("frame_ms", 10, 3'600'000, [&](std::uint64_t v) { limits.frame_ms = v; });
  reader.text("owner_memory", [&](const std::string& value) -> Status {
    RK_TRY(limits.owner_memory_bytes, parse_size(value));
    return {};
  });
  return reader.read(table);
}

// The nested readers name file, line and key themselves: their error goes on as it is.
Status read_top(const toml::table& top, const std::string& file, Config& config) {
  TableReader reader(file, "");
  reader.number("node", 1, UINT32_MAX, [&](std::uint64_t v) { config.node = NodeId(static_cast<std::uint32_t>(v)); });
  reader.text("cluster", [&](const std::string& value) -> Status {
    RK_TRY(config.cluster, parse_cluster(value));
    return {};
  });
  const auto path = [](std::string& field) {
    return [&field](const std::string& value) -> Status {
      if (value.empty() || value.size() > 4096)
        return fail(ErrorCode::kInvalidArgument, "it must be a path of 1 to 4096 bytes");
      field = value;
      return {};
    };
  };
  reader.text("key_file", path(config.key_file));
  reader.truth("encrypt", config.encrypt);
  reader.text("socket", path(config.socket));
  reader.text("state_directory", path(config.state_directory));
  reader.text("log_level", [&](const std::string& value) -> Status {
    config.log_level = value;
    return check_log_level(value);
  });
  const auto size = [](std::uint64_t& field) {
    return [&field](const std::string& value) -> Status {
      RK_TRY(field, parse_size(value));
      return {};
    };
  };
  reader.text("memory", size(config.memory_bytes));
  reader.text("reserve", size(config.reserve_bytes));
  reader.text("scrub", size(config.scrub_bytes_per_s));
  reader.number("scrub_every_s", 1, 86'400, [&](std::uint64_t v) { config.scrub_every_s = v; });
  Status nested;
  reader.key("server", [&](const toml::node& node) -> Status {
    const toml::array* servers = node.as_array();
    if (servers == nullptr || !servers->is_homogeneous<toml::table>())
      return fail(ErrorCode::kInvalidArgument, "write each server as its own [[server]] table");
    for (const toml::node& server : *servers)
      if (nested) nested = read_server(*server.as_table(), file, config);
    return {};
  });
  reader.number("hold_s", 0, 3600, [&](std::uint64_t v) { config.hold_s = v; });
  reader.number("awake_us", 0, 10'000, [&](std::uint64_t v) { config.awake_us = v; });
  reader.number("suspicion_ms", 250, 600'000, [&](std::uint64_t v) { config.suspicion_ms = v; });
  reader.key("limits", [&](const toml::node& node) -> Status {
    const toml::table* limits = node.as_table();
    if (limits == nullptr) return fail(ErrorCode::kInvalidArgument, "it must be a table: [limits]");
    if (nested) nested = read_limits(*limits, file, config.limits);
    return {};
  });
  RK_TRY_VOID(reader.read(top));
  return nested;
}

bool ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Whether what is not ASCII in this line stands where toml++ takes any character: in a comment, or in a text of one
// line without escapes, alone after a bare key. toml++ 3.3 runs into undefined behaviour where such a character stands
// between two words, and it reads on over some mistakes before; so nothing is guessed about any other line.
bool well_placed(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (ascii(line)) return true;
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\t'; };
  if (std::any_of(line.begin(), line.end(), control)) return false;
  const std::size_t mark = line.find_first_of("\"'#");
  if (mark == std::string_view::npos || !ascii(line.substr(0, mark))) return false;
  if (line[mark] == '#') return true;
  std::string_view key = line.substr(0, mark);
  const auto drop = [&key](auto from_end) {
    while (!key.empty() && from_end(key.back())) key.remove_suffix(1);
  };
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  drop(blank);
  if (key.empty() || key.back() != '=') return false;
  key.remove_suffix(1);
  drop(blank);
  drop([](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; });
  drop(blank);
  if (!key.empty()) return false;
  const std::size_t end = line.find(line[mark], mark + 1);
  if (end == std::string_view::npos ||
      (line[mark] == '"' && line.substr(mark, end - mark).find('\\') != std::string_view::npos))
    return false;
  const std::size_t after = line.find_first_not_of(" \t", end + 1);
  return after == std::string_view::npos || line[after] == '#';
}

// Number of the first line with a character that is not ASCII in another place; 0 if there is none.
std::size_t line_of_stray_character(std::string_view text) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (!well_placed(text.substr(0, end))) return number;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}

}  // namespace

Result<Config> parse_config(std::string_view text, const std::string& file, Config defaults) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // a byte order mark
  if (const std::size_t line = line_of_stray_character(text); line != 0)
    return fail(
        ErrorCode::kInvalidArgument,
        file + ":" + std::to_string(line) +
            ": a character that is not ASCII may only stand in a comment, or in quotes alone after a key and '='; "
            "correct this line");
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return fail(ErrorCode::kInvalidArgument, file + ":" + std::to_string(error.source().begin.line) + ": " +
                                                 std::string(error.description()) +
                                                 "; correct this line, or write the file again if it was cut off");
  }
  RK_TRY_VOID(read_top(parsed.table(), file, defaults));
  return defaults;
}

Result<Config> read_config(const std::string& file, Config defaults) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return fail(ErrorCode::kIo, "cannot read the configuration '" + file + "': name an existing file with --config");
  std::string text(kMaxConfigBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMaxConfigBytes)
    return fail(ErrorCode::kInvalidArgument,
                "the configuration '" + file + "' is larger than 1 MiB: name the right file");
  return parse_config(text, file, std::move(defaults));
}

}  // namespace rk::daemon
