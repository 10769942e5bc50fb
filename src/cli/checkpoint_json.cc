// SPDX-License-Identifier: Apache-2.0
// The JSON forms of what commands tell of checkpoints: docs/checkpoints.md
#include <nlohmann/json.hpp>

#include "cli/checkpoints.h"
#include "cli/json.h"
#include "cli/terminal.h"

namespace rk::cli {
namespace {

using Json = nlohmann::ordered_json;

template <class Id>
Json values(const std::vector<Id>& ids) {
  Json out = Json::array();
  for (const Id id : ids) out.push_back(id.value);
  return out;
}

Json or_null(NodeId node) { return node ? Json(node.value) : Json(); }

std::string line(const Json& json) {
  // A name may be any bytes but control bytes: what is no UTF-8 is shown as U+FFFD.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string to_json(const CheckpointTable& table) {
  Json out;
  out["checkpoints"] = Json::array();
  for (const wire::CheckpointEntry& entry : table.entries) {
    Json one;
    one["name"] = entry.name;
    one["home"] = or_null(entry.home);
    one["lost"] = entry.lost;
    one["newest"] = entry.newest.value;
    one["kept"] = values(entry.kept);
    one["bytes"] = entry.bytes;
    one["holders"] = values(entry.holders);
    out["checkpoints"].push_back(std::move(one));
  }
  out["servers"] = Json::array();
  for (const wire::ServerUsage& server : table.servers) {
    Json one;
    one["server"] = server.node.value;
    one["bytes"] = server.bytes;
    one["quota_bytes"] = server.quota_bytes == UINT64_MAX ? Json() : Json(server.quota_bytes);
    out["servers"].push_back(std::move(one));
  }
  return line(out);
}

std::string to_json(const std::string& name, const wire::CheckpointInspected& answer) {
  Json out;
  out["name"] = name;
  out["home"] = or_null(answer.home);
  out["lost"] = answer.lost.empty() ? Json() : Json(answer.lost);
  out["versions"] = Json::array();
  for (const wire::InspectedVersion& version : answer.versions) {
    Json one;
    one["version"] = version.version.value;
    one["incarnation"] = version.incarnation.value;
    one["memory_bytes"] = version.total;
    one["sum"] = hex(version.sum);
    one["holders"] = values(version.holders);
    one["sections"] = Json::array();
    for (const wire::SectionPlace& section : version.sections)
      one["sections"].push_back({{"name", section.name}, {"bytes", section.size}, {"sum", hex(section.sum)}});
    out["versions"].push_back(std::move(one));
  }
  return line(out);
}

std::string to_json(const std::string& name, Version version, std::uint64_t bytes) {
  Json out;
  out["name"] = name;
  out["version"] = version.value;
  out["bytes"] = bytes;
  return line(out);
}

}  // namespace rk::cli
