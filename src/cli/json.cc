// SPDX-License-Identifier: Apache-2.0
// The only user of nlohmann/json in this layer.
#include "cli/json.h"

#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "recovery/report.h"

namespace rk::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, value);
  return text;
}

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

}  // namespace

std::string to_json(const wire::StatusAnswer& status) {
  Json out;
  out["cluster"] = hex(status.cluster.value);
  out["node"] = status.node.value;
  out["incarnation"] = status.incarnation.value;
  out["pid"] = status.pid;
  out["view"] = status.view.value;
  out["state"] = status.state;
  out["reason"] = status.reason;
  out["members"] = Json::array();
  for (const wire::MemberStatus& member : status.members)
    out["members"].push_back({{"node", member.node.value},
                              {"incarnation", member.incarnation.value},
                              {"address", member.address},
                              {"connected", member.connected}});
  out["budget_bytes"] = status.budget_bytes;
  out["used_bytes"] = status.used_bytes;
  out["checkpoints"] = status.checkpoints;
  out["jobs"] = Json::array();
  for (const wire::JobStatus& job : status.jobs)
    out["jobs"].push_back({{"job", hex(job.job.value)},
                           {"owner", job.owner.value},
                           {"ranks", job.ranks},
                           {"attached", job.attached},
                           {"log_bytes", job.log_bytes}});
  return out.dump(2) + "\n";
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
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace rk::cli
