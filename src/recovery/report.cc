// SPDX-License-Identifier: Apache-2.0
#include "recovery/report.h"

#include <algorithm>

namespace rk::recovery {
namespace {

constexpr std::size_t kBarWidth = 60;

// "2.345 s"; integers only, so that it reads the same everywhere.
std::string seconds(TimeMs ms) {
  std::string fraction = std::to_string(ms % 1000);
  fraction.insert(0, 3 - fraction.size(), '0');
  return std::to_string(ms / 1000) + "." + fraction + " s";
}

std::string counted(std::uint64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::uint64_t kKibi = 1024;
  if (bytes >= kKibi * kKibi * 10) return std::to_string(bytes / (kKibi * kKibi)) + " MiB";
  if (bytes >= kKibi * 10) return std::to_string(bytes / kKibi) + " KiB";
  return std::to_string(bytes) + " B";
}

std::vector<std::uint32_t> ranks_of(const RunRecord& record, CommunityId community) {
  std::vector<std::uint32_t> ranks;
  for (std::uint32_t rank = 0; rank < record.processes.size(); ++rank)
    if (record.processes[rank].community == community) ranks.push_back(rank);
  return ranks;
}

// "0-3, 6".
std::string ranges(const std::vector<std::uint32_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i;
    while (end + 1 < numbers.size() && numbers[end + 1] == numbers[end] + 1) ++end;
    text += (text.empty() ? "" : ", ") + std::to_string(numbers[i]);
    if (end > i) text += "-" + std::to_string(numbers[end]);
    i = end + 1;
  }
  return text;
}

void set_once(std::optional<TimeMs>& field, TimeMs at) {
  if (!field) field = at;
}

void phase(std::string& text, const char* name, const std::optional<TimeMs>& at, TimeMs& since) {
  if (!at) return;
  text += std::string(text.empty() ? "" : ", ") + name + " " + seconds(*at - since);
  since = *at;
}

std::string recovery_line(const RecoveryPhases& one) {
  std::string text;
  TimeMs since = one.lost_at;
  phase(text, "dead after", one.dead_at, since);
  phase(text, "restarted", one.started_at, since);
  phase(text, "out of MPI_Init", one.ready_at, since);
  phase(text, "restored", one.restored_at, since);
  phase(text, "replayed", one.replayed_at, since);
  const std::string from = one.version ? "checkpoint " + std::to_string(one.version.value) : "the start";
  return "    at " + seconds(one.lost_at) + (one.rank ? ", rank " + std::to_string(one.rank->value) + " first" : "") +
         ", from " + from + ":\n      " + text + "\n";
}

std::string pids_line(const RunRecord& record, std::uint32_t rank) {
  std::string text;
  for (const LifeRecord& life : record.processes[rank].lives)
    text += (text.empty() ? "" : " -> ") + std::to_string(life.pid);
  return std::to_string(rank) + ": " + (text.empty() ? "none" : text);
}

std::string community_lines(const RunRecord& record, CommunityId community, const std::vector<RecoveryPhases>& phases) {
  const std::vector<std::uint32_t> ranks = ranks_of(record, community);
  const std::uint32_t restarts = restarts_of(record, community);
  std::string text = "  community " + std::to_string(community.value) + " (ranks " + ranges(ranks) + ") ";
  text += restarts == 0 ? "kept working, with the same processes" : "rolled back " + counted(restarts, "time");
  text += "\n";
  for (const RecoveryPhases& one : phases)
    if (one.community == community) text += recovery_line(one);
  std::string line = "    pids ";
  for (std::size_t i = 0; i < ranks.size() && i < 16; ++i) {
    const std::string next = pids_line(record, ranks[i]);
    if (line.size() + next.size() + 2 > kReportWidth) {
      text += line + "\n";
      line = "         ";
    }
    line += (line.back() == ' ' ? "" : "  ") + next;
  }
  return text + line + (ranks.size() > 16 ? " ..." : "") + "\n";
}

// One column a slice of the run: '=' works, '.' starts or restarts, 'r' replays, ' ' is over; 'X' the loss.
std::string bar(const RunRecord& record, CommunityId community) {
  std::string bar(kBarWidth, ' ');
  const TimeMs all = std::max<TimeMs>(record.elapsed, 1);
  const auto column = [&](TimeMs at) { return std::min<std::size_t>(at * kBarWidth / all, kBarWidth - 1); };
  std::size_t from = 0;
  char state = ' ';
  std::vector<std::size_t> losses;
  const auto until = [&](TimeMs at, char next) {
    const std::size_t to = column(at);
    for (; from < to; ++from) bar[from] = state;
    state = next;
  };
  for (const Note& note : record.notes) {
    if (note.community != community || note.kind == Note::Kind::kEnding) continue;
    if (note.kind == Note::Kind::kStarted) until(note.at, '.');
    if (note.kind == Note::Kind::kReady) until(note.at, note.incarnation.value > 1 ? 'r' : '=');
    if (note.kind == Note::Kind::kReplayed) until(note.at, '=');
    if (note.kind == Note::Kind::kLost) {
      until(note.at, '.');
      losses.push_back(column(note.at));
    }
    if (note.kind == Note::Kind::kFinished) until(note.at, ' ');
  }
  until(record.elapsed, ' ');
  for (const std::size_t loss : losses) bar[loss] = 'X';
  return bar;
}

void add_counts(wire::LayerStats& sum, const wire::LayerStats& more) {
  sum.messages_sent += more.messages_sent;
  sum.bytes_logged += more.bytes_logged;
  sum.messages_received += more.messages_received;
  sum.messages_replayed += more.messages_replayed;
  sum.messages_resent += more.messages_resent;
  sum.resent_verified += more.resent_verified;
  sum.resent_differing += more.resent_differing;
  sum.determinants += more.determinants;
  sum.determinants_replayed += more.determinants_replayed;
}

std::string log_lines(const RunRecord& record) {
  const wire::LayerStats sum = total_stats(record);
  std::string text = "  logged    " + counted(sum.messages_sent, "message") + " between communities (" +
                     bytes_text(sum.bytes_logged) + "), " + counted(sum.determinants, "determinant") + "\n";
  if (sum.messages_replayed + sum.messages_resent + sum.determinants_replayed == 0) return text;
  text += "  replayed  " + counted(sum.messages_replayed, "message") + " and " +
          counted(sum.determinants_replayed, "determinant") + " from the log\n";
  text += "  dropped   " + counted(sum.messages_resent, "message") +
          " sent again: " + std::to_string(sum.resent_verified) + " verified identical, " +
          std::to_string(sum.resent_differing) + " with another payload (the original stands)\n";
  return text;
}

std::string output_lines(const RunRecord& record) {
  if (record.output.swallowed + record.output.aside == 0) return "";
  std::string text = "  output    " + counted(record.output.shown, "line") + " shown once, " +
                     std::to_string(record.output.swallowed) + " printed again and swallowed, " +
                     std::to_string(record.output.differing) + " of them different\n";
  if (record.output.aside > 0)
    text += "            " + counted(record.output.aside, "line") +
            " printed between a restart question and its restore, set aside\n";
  if (record.difference) text += "            first: " + *record.difference + "\n";
  while (text.size() > 2 && text[text.size() - 2] == '\n') text.pop_back();
  return text;
}

}  // namespace

std::vector<RecoveryPhases> recoveries(const RunRecord& record) {
  std::vector<RecoveryPhases> out;
  for (const Note& note : record.notes) {
    if (note.kind == Note::Kind::kLost) {
      out.push_back(RecoveryPhases{note.community, note.incarnation, note.rank, note.at, {}, {}, {}, {}, {}, {}});
      continue;
    }
    // The newest recovery of the community that this note can belong to.
    const auto found = std::find_if(out.rbegin(), out.rend(), [&](const RecoveryPhases& one) {
      const std::uint64_t life = note.kind == Note::Kind::kDead ? note.incarnation.value : note.incarnation.value - 1;
      return one.community == note.community && one.failed.value == life;
    });
    if (found == out.rend()) continue;
    if (note.kind == Note::Kind::kDead) set_once(found->dead_at, note.at);
    if (note.kind == Note::Kind::kStarted) set_once(found->started_at, note.at);
    if (note.kind == Note::Kind::kReady) set_once(found->ready_at, note.at);
    if (note.kind == Note::Kind::kReplayed) set_once(found->replayed_at, note.at);
    if (note.kind == Note::Kind::kRestored) {
      set_once(found->restored_at, note.at);
      found->version = note.version;
    }
  }
  return out;
}

wire::LayerStats total_stats(const RunRecord& record) {
  wire::LayerStats sum;
  for (const ProcessRecord& process : record.processes) {
    if (process.logged) add_counts(sum, *process.logged);
    for (const LifeRecord& life : process.lives) {
      if (!life.stats) continue;
      if (!process.logged) add_counts(sum, *life.stats);
      sum.layer_cpu_us += life.stats->layer_cpu_us;
      sum.total_cpu_us += life.stats->total_cpu_us;
    }
  }
  return sum;
}

std::optional<TimeMs> all_ready_at(const RunRecord& record) {
  TimeMs latest = 0;
  for (const ProcessRecord& process : record.processes) {
    const auto ready = std::find_if(process.lives.begin(), process.lives.end(),
                                    [](const LifeRecord& life) { return life.ready_at.has_value(); });
    if (ready == process.lives.end()) return std::nullopt;
    latest = std::max(latest, *ready->ready_at);
  }
  return latest;
}

std::optional<TimeMs> all_finished_at(const RunRecord& record) {
  TimeMs latest = 0;
  std::uint32_t finished = 0;
  for (const Note& note : record.notes) {
    if (note.kind != Note::Kind::kFinished) continue;
    latest = std::max(latest, note.at);
    ++finished;
  }
  if (finished != record.communities) return std::nullopt;
  return latest;
}

std::uint32_t restarts_of(const RunRecord& record, CommunityId community) {
  std::uint32_t restarts = 0;
  for (const Note& note : record.notes)
    if (note.kind == Note::Kind::kStarted && note.community == community && note.incarnation.value > 1) ++restarts;
  return restarts;
}

std::string report_text(const RunRecord& record) {
  std::string text = "ringkeep: " + record.program + ", " + counted(record.processes.size(), "process");
  if (record.processes.size() != 1) text = text.substr(0, text.size() - 1) + "es";
  text += " in " + std::to_string(record.communities) + (record.communities == 1 ? " community" : " communities") +
          ", " + record.server + ": " + seconds(record.elapsed) + ", exit status " + std::to_string(record.exit_code) +
          "\n";
  const std::vector<RecoveryPhases> phases = recoveries(record);
  for (std::uint32_t i = 0; i < record.communities; ++i) text += community_lines(record, CommunityId(i), phases);
  for (const KillRecord& kill : record.kills) {
    text += "  --kill " + kill.text;
    text +=
        kill.done_at ? " was carried out at " + seconds(*kill.done_at) : " was not carried out: the job ended before";
    text += "\n";
  }
  text += log_lines(record);
  text += output_lines(record);
  for (std::uint32_t i = 0; i < record.communities; ++i)
    text += "  community " + std::to_string(i) + " |" + bar(record, CommunityId(i)) + "|\n";
  text += "              = works  . starts  r replays  X lost";
  text += "\n";
  if (!record.text.empty()) text += "  " + record.text + "\n";
  return text;
}

}  // namespace rk::recovery
