// SPDX-License-Identifier: Apache-2.0
// The only user of nlohmann/json in this layer.
#include "cli/json.h"

#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "cli/override.h"
#include "cli/ring_picture.h"
#include "cli/terminal.h"
#include "cli/verify.h"
#include "recovery/report.h"

namespace rk::cli {
namespace {

using Json = nlohmann::ordered_json;

double seconds(recovery::TimeMs ms) { return static_cast<double>(ms) / 1000.0; }

Json seconds_or_null(const std::optional<recovery::TimeMs>& ms) { return ms ? Json(seconds(*ms)) : Json(); }

void put_stats(Json& to, const wire::LayerStats& stats) {
  to["messages_sent"] = stats.messages_sent;
  to["bytes_logged"] = stats.bytes_logged;
  to["messages_received"] = stats.messages_received;
  to["messages_replayed"] = stats.messages_replayed;
  to["messages_resent"] = stats.messages_resent;
  to["resent_verified"] = stats.resent_verified;
  to["resent_differing"] = stats.resent_differing;
  to["determinants"] = stats.determinants;
  to["determinants_replayed"] = stats.determinants_replayed;
  to["layer_cpu_us"] = stats.layer_cpu_us;
  to["total_cpu_us"] = stats.total_cpu_us;
}

const char* name_of(recovery::Note::Kind kind) {
  using Kind = recovery::Note::Kind;
  switch (kind) {
    case Kind::kStarted:
      return "started";
    case Kind::kConnected:
      return "connected";
    case Kind::kReady:
      return "ready";
    case Kind::kLost:
      return "lost";
    case Kind::kKilled:
      return "killed";
    case Kind::kDead:
      return "dead";
    case Kind::kRestored:
      return "restored";
    case Kind::kReplayed:
      return "replayed";
    case Kind::kCheckpointed:
      return "checkpointed";
    case Kind::kFinished:
      return "finished";
    case Kind::kEnding:
      return "ending";
  }
  return "unknown";
}

Json rank_json(const recovery::RunRecord& record, std::uint32_t rank) {
  const recovery::ProcessRecord& process = record.processes[rank];
  Json out;
  out["rank"] = rank;
  out["community"] = process.community.value;
  out["pids"] = Json::array();
  for (const recovery::LifeRecord& life : process.lives) out["pids"].push_back(life.pid);
  recovery::RunRecord alone;
  alone.processes.push_back(process);
  put_stats(out, recovery::total_stats(alone));
  out["lives"] = Json::array();
  for (const recovery::LifeRecord& life : process.lives) {
    Json one;
    one["incarnation"] = life.incarnation.value;
    one["pid"] = life.pid;
    one["connected_s"] = seconds(life.connected_at);
    one["ready_s"] = seconds_or_null(life.ready_at);
    one["gone_s"] = seconds_or_null(life.gone_at);
    one["finished"] = life.finished;
    out["lives"].push_back(std::move(one));
  }
  return out;
}

Json community_json(const recovery::RunRecord& record, CommunityId community) {
  Json out;
  out["community"] = community.value;
  out["ranks"] = Json::array();
  for (std::uint32_t rank = 0; rank < record.processes.size(); ++rank)
    if (record.processes[rank].community == community) out["ranks"].push_back(rank);
  out["restarts"] = recovery::restarts_of(record, community);
  out["recoveries"] = Json::array();
  for (const recovery::RecoveryPhases& phases : recovery::recoveries(record)) {
    if (phases.community != community) continue;
    Json one;
    one["incarnation"] = phases.failed.value + 1;
    one["rank"] = phases.rank ? Json(phases.rank->value) : Json();
    one["version"] = phases.version.value;
    one["lost_s"] = seconds(phases.lost_at);
    one["dead_s"] = seconds_or_null(phases.dead_at);
    one["started_s"] = seconds_or_null(phases.started_at);
    one["ready_s"] = seconds_or_null(phases.ready_at);
    one["restored_s"] = seconds_or_null(phases.restored_at);
    one["replayed_s"] = seconds_or_null(phases.replayed_at);
    out["recoveries"].push_back(std::move(one));
  }
  return out;
}

// A name may be any bytes but control bytes: what is no UTF-8 becomes U+FFFD, and the control characters U+0080 to
// U+009F are escaped as those below U+0020 are, for terminals act on both.
std::string text_of(const Json& json, int indent) {
  const std::string text = json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool control = text[i] == '\xc2' && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (!control) {
      out += text[i];
      continue;
    }
    char escaped[7];
    std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned char>(text[++i]));
    out += escaped;
  }
  return out;
}

// Events come fast: one object a line.
std::string line(const Json& json) { return text_of(json, -1); }

Json event_head(const wire::ServerEvent& event, const std::string& name) {
  Json out;
  out["time"] = utc(event.time_us);
  out["monotonic_ns"] = event.monotonic_ns;
  out["server"] = event.server.value;
  out["event"] = name;
  return out;
}

void put_mark(Json& to, const wire::OverrideMark& mark) {
  to["generation"] = mark.generation;
  to["override"] =
      mark.generation == 0
          ? Json()
          : Json({{"server", mark.by.value}, {"from_view", mark.from.value}, {"time", utc(mark.at_ms * 1000)}});
}

template <class Id>
Json values(const std::vector<Id>& ids) {
  Json out = Json::array();
  for (const Id id : ids) out.push_back(id.value);
  return out;
}

Json lives(const std::vector<wire::ServerLife>& members) {
  Json out = Json::array();
  for (const wire::ServerLife& life : members) out.push_back({life.node.value, life.incarnation.value});
  return out;
}

// The fields that docs/events.md promises for the event; all of them for one that is not known here.
void put_details(Json& out, const wire::ServerEvent& event) {
  const std::string& name = event.event;
  const auto is = [&](std::initializer_list<const char*> names) {
    return std::any_of(names.begin(), names.end(), [&](const char* one) { return name == one; });
  };
  const bool view = is({"view_installed"});
  const bool copies = is({"copies_lost", "copying_started", "copying_progress", "copying_done"});
  const bool copy = is({"copy_damaged", "copy_repaired", "copy_unrepaired"});
  const bool job = is({"job_created", "job_ended"});
  const bool life = is({"server_started", "server_stopping", "evicted", "member_suspected", "member_heard", "link_up"});
  const bool overridden = is({"overridden"});
  const bool any = !view && !copies && !copy && !job && !life && !overridden &&
                   !is({"wedged", "unwedged", "link_down", "peer_refused"});
  if (view || any || copies || overridden || is({"wedged", "unwedged", "server_started", "evicted"}))
    out["view"] = event.view.value;
  if (any || overridden) put_mark(out, event.overridden);
  if (view) out["generation"] = event.overridden.generation;
  if (view || any) {
    out["previous"] = event.previous.value;
    out["members"] = lives(event.members);
    out["leader"] = event.node.value;
    out["witness"] = event.witness ? Json(event.witness.value) : Json();
    out["new"] = lives(event.joined);
    out["restarted"] = lives(event.restarted);
    out["lost"] = lives(event.lost);
    out["left"] = lives(event.left);
  }
  if (any || copies || life || overridden || is({"wedged", "link_down", "peer_refused", "copy_repaired"}))
    out["node"] = event.node ? Json(event.node.value) : Json();
  if (any || life) out["incarnation"] = event.incarnation.value;
  if (any || copies || is({"peer_refused"})) out["count"] = event.count;
  if (any || copies || copy) out["bytes"] = event.bytes;
  if (any || job) out["job"] = hex(event.job.value);
  if (any || job || copy) out["owner"] = event.owner.value;
  if (any || copy) {
    out["checkpoint"] = event.checkpoint;
    out["version"] = event.version.value;
  }
  if (any || is({"job_created"})) out["ranks"] = event.ranks;
  if (any || overridden ||
      is({"server_started", "evicted", "wedged", "member_suspected", "link_down", "peer_refused", "server_stopping",
          "copies_lost", "copy_unrepaired"}))
    out["reason"] = event.reason;
}

Json or_null(NodeId node) { return node ? Json(node.value) : Json(); }

std::string document(const Json& json) { return text_of(json, 2); }

}  // namespace

std::string to_json(const wire::ServerEvent& event) {
  std::string out;
  if (event.missed > 0) {
    Json missed = event_head(event, "events_missed");
    missed["count"] = event.missed;
    out = line(missed);
  }
  Json json = event_head(event, event.event);
  json["sequence"] = event.sequence;
  put_details(json, event);
  return out + line(json);
}

std::string to_json(const wire::StatusAnswer& status) {
  Json out;
  out["cluster"] = hex(status.cluster.value);
  out["node"] = status.node.value;
  out["incarnation"] = status.incarnation.value;
  out["pid"] = status.pid;
  out["view"] = status.view.value;
  put_mark(out, status.overridden);
  out["state"] = status.state;
  out["reason"] = status.reason;
  out["members"] = Json::array();
  for (const wire::MemberStatus& member : status.members)
    out["members"].push_back({{"node", member.node.value},
                              {"incarnation", member.incarnation.value},
                              {"address", member.address},
                              {"connected", member.connected},
                              {"key", member.key},
                              {"witness", member.witness}});
  out["budget_bytes"] = status.budget_bytes;
  out["used_bytes"] = status.used_bytes;
  out["checkpoints"] = status.checkpoints;
  out["integrity"] = {{"checked", status.integrity.checked},
                      {"checked_bytes", status.integrity.checked_bytes},
                      {"damaged", status.integrity.damaged},
                      {"repaired", status.integrity.repaired},
                      {"unrepaired", status.integrity.unrepaired}};
  out["replication"] = {{"sent_bytes", status.replication.sent_bytes},
                        {"saved_bytes", status.replication.saved_bytes},
                        {"deltas", status.replication.deltas},
                        {"deltas_refused", status.replication.deltas_refused}};
  out["jobs"] = Json::array();
  for (const wire::JobStatus& job : status.jobs)
    out["jobs"].push_back({{"job", hex(job.job.value)},
                           {"owner", job.owner.value},
                           {"ranks", job.ranks},
                           {"attached", job.attached},
                           {"log_bytes", job.log_bytes}});
  out["clients"] = {{"connected", status.clients.connected},
                    {"limit", status.clients.limit},
                    {"turned_away", status.clients.turned_away},
                    {"disconnected", status.clients.disconnected}};
  out["links"] = {{"encrypted", status.links.encrypted},
                  {"made", status.links.made},
                  {"refused", status.links.refused},
                  {"malformed", status.links.malformed},
                  {"turned_away", status.links.turned_away}};
  return document(out);
}

std::string to_json(const keys::KeySet& keys) {
  Json out;
  out["keys"] = Json::array();
  for (const keys::ClusterKey& key : keys.all())
    out["keys"].push_back({{"number", key.number()}, {"id", key.id()}, {"dials", key.id() == keys.first().id()}});
  return document(out);
}

std::string to_json(const wire::RingAnswer& ring) {
  Json out;
  out["cluster"] = hex(ring.cluster.value);
  out["server"] = ring.node.value;
  out["incarnation"] = ring.incarnation.value;
  out["monotonic_ns"] = ring.monotonic_ns;
  out["view"] = ring.view.value;
  out["committed"] = ring.committed.value;
  put_mark(out, ring.overridden);
  out["state"] = ring.state;
  out["reason"] = ring.reason;
  out["missing"] = ring.missing ? Json(ring.missing.value) : Json();
  std::vector<NodeId> members;
  for (const wire::RingServer& server : ring.servers)
    if (server.member && !server.witness) members.push_back(server.node);
  // The witness leads only if nobody else is there.
  const auto leader =
      std::find_if(ring.servers.begin(), ring.servers.end(), [](const auto& one) { return one.member; });
  out["leader"] = leader == ring.servers.end() ? Json() : Json(leader->node.value);
  out["servers"] = Json::array();
  for (const wire::RingServer& server : ring.servers) {
    Json one;
    one["node"] = server.node.value;
    one["address"] = server.address;
    one["member"] = server.member;
    one["incarnation"] = server.incarnation.value;
    one["state"] = server.state;
    one["reason"] = server.reason;
    one["connected"] = server.connected;
    one["witness"] = server.witness;
    one["rack"] = server.rack.empty() ? Json() : Json(server.rack);
    const auto at = std::find(members.begin(), members.end(), server.node);
    const bool paired = at != members.end() && members.size() > 1;
    const auto rank = static_cast<std::size_t>(at - members.begin());
    one["keeps_copies_of"] = paired ? Json(members[(rank + 1) % members.size()].value) : Json();
    one["copies_kept_by"] = paired ? Json(members[(rank + members.size() - 1) % members.size()].value) : Json();
    out["servers"].push_back(std::move(one));
  }
  out["pairs_of_one_rack"] = Json::array();
  for (const auto& [keeper, kept] : pairs_of_one_rack(ring))
    out["pairs_of_one_rack"].push_back({keeper->node.value, kept->node.value});
  for (const wire::RingMessageCount& count : ring.messages)
    out["messages"][count.kind] = {{"sent", count.sent},
                                   {"sent_bytes", count.sent_bytes},
                                   {"received", count.received},
                                   {"received_bytes", count.received_bytes}};
  out["refused_peers"] = ring.refused_peers;
  out["turned_away_peers"] = ring.turned_away_peers;
  out["malformed_peers"] = ring.malformed_peers;
  out["refused_messages"] = ring.refused_messages;
  return document(out);
}

std::string to_json(const wire::OverrideAnswer& answer) {
  Json out;
  out["done"] = answer.done;
  out["refusal"] = answer.refusal.empty() ? Json() : Json(answer.refusal);
  out["view"] = answer.view.value;
  put_mark(out, answer.overridden);
  out["members"] = values(answer.members);
  out["missing"] = values(answer.missing);
  out["lost_with_both"] = Json::array();
  for (const auto& [home, keeper] : lost_with_both(answer)) out["lost_with_both"].push_back({home.value, keeper.value});
  return document(out);
}

std::string to_json(const doctor::Findings& findings) {
  Json out;
  out["worst"] = doctor::to_string(doctor::worst(findings));
  out["findings"] = Json::array();
  for (const doctor::Finding& finding : findings)
    out["findings"].push_back({{"check", finding.check},
                               {"level", doctor::to_string(finding.level)},
                               {"text", finding.text},
                               {"cure", finding.cure}});
  return document(out);
}

std::string to_json(const recovery::RunRecord& record) {
  Json out;
  out["program"] = record.program;
  out["job"] = hex(record.job.value);
  out["server"] = record.server;
  out["mpi_library"] = record.mpi_library;
  out["exit_code"] = record.exit_code;
  out["text"] = record.text;
  out["elapsed_s"] = seconds(record.elapsed);
  out["ready_s"] = seconds_or_null(recovery::all_ready_at(record));
  out["finished_s"] = seconds_or_null(recovery::all_finished_at(record));
  out["communities"] = Json::array();
  for (std::uint32_t i = 0; i < record.communities; ++i)
    out["communities"].push_back(community_json(record, CommunityId(i)));
  out["ranks"] = Json::array();
  for (std::uint32_t rank = 0; rank < record.processes.size(); ++rank) out["ranks"].push_back(rank_json(record, rank));
  put_stats(out["totals"], recovery::total_stats(record));
  out["output"] = {{"lines_shown", record.output.shown},
                   {"lines_swallowed", record.output.swallowed},
                   {"lines_compared", record.output.compared},
                   {"lines_differing", record.output.differing},
                   {"lines_set_aside", record.output.aside},
                   {"first_difference", record.difference ? Json(*record.difference) : Json()}};
  out["kills"] = Json::array();
  for (const recovery::KillRecord& kill : record.kills)
    out["kills"].push_back({{"kill", kill.text}, {"done_s", seconds_or_null(kill.done_at)}});
  out["events"] = Json::array();
  for (const recovery::Note& note : record.notes) {
    Json one = {{"at_s", seconds(note.at)}, {"event", name_of(note.kind)}};
    if (note.kind != recovery::Note::Kind::kEnding) {
      one["community"] = note.community.value;
      one["incarnation"] = note.incarnation.value;
    }
    if (note.rank) one["rank"] = note.rank->value;
    if (note.version) one["version"] = note.version.value;
    if (!note.text.empty()) one["text"] = note.text;
    out["events"].push_back(std::move(one));
  }
  out["malformed_frames"] = record.malformed_frames;
  // Output lines may hold bytes that are not UTF-8.
  return document(out);
}

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
  return document(out);
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
  return document(out);
}

std::string to_json(const std::vector<VerifiedCheckpoint>& all) {
  Json out;
  out["checkpoints"] = Json::array();
  for (const VerifiedCheckpoint& checkpoint : all) {
    Json one;
    one["name"] = checkpoint.name;
    one["lost"] = checkpoint.lost;
    one["error"] = checkpoint.error.empty() ? Json() : Json(checkpoint.error);
    one["versions"] = Json::array();
    for (const wire::VerifiedVersion& version : checkpoint.versions) {
      Json item;
      item["version"] = version.version.value;
      item["memory_bytes"] = version.bytes;
      item["readable"] = has_good_copy(version);
      item["copies"] = Json::array();
      for (const wire::VerifiedCopy& copy : version.copies)
        item["copies"].push_back({{"server", copy.server.value}, {"state", state_name(copy.state)}});
      one["versions"].push_back(std::move(item));
    }
    out["checkpoints"].push_back(std::move(one));
  }
  return document(out);
}

std::string to_json(const std::string& name, Version version, std::uint64_t bytes) {
  Json out;
  out["name"] = name;
  out["version"] = version.value;
  out["bytes"] = bytes;
  return document(out);
}

std::string to_json(const std::string& file, std::optional<std::uint64_t> bytes,
                    const std::vector<ArchivedCheckpoint>& checkpoints) {
  Json out;
  out["file"] = file;
  if (bytes) out["bytes"] = *bytes;
  out["checkpoints"] = Json::array();
  for (const ArchivedCheckpoint& item : checkpoints) {
    Json one;
    one["name"] = item.name;
    one["exported_version"] = item.exported.value;
    if (item.imported) one["version"] = item.imported.value;
    one["bytes"] = item.bytes;
    out["checkpoints"].push_back(std::move(one));
  }
  return document(out);
}

namespace {

Json tree_json(const CommandTree& tree) {
  Json out;
  out["name"] = tree.name;
  out["text"] = tree.text;
  out["options"] = Json::array();
  for (const CommandOption& option : tree.options)
    out["options"].push_back({{"names", option.names},
                              {"text", option.text},
                              {"value", option.value},
                              {"choices", option.choices},
                              {"several", option.several}});
  out["commands"] = Json::array();
  for (const CommandTree& command : tree.commands) out["commands"].push_back(tree_json(command));
  return out;
}

}  // namespace

std::string to_json(const CommandTree& tree) { return document(tree_json(tree)); }

}  // namespace rk::cli
