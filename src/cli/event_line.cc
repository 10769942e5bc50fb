// SPDX-License-Identifier: Apache-2.0
#include "cli/event_line.h"

#include "cli/override.h"
#include "cli/terminal.h"

namespace rk::cli {
namespace {

constexpr std::size_t kNameWidth = 16;  // and two blanks

std::string server(NodeId node) { return "server " + std::to_string(node.value); }

std::string nodes(const std::vector<wire::ServerLife>& lives) {
  std::string out;
  for (const wire::ServerLife& life : lives) out += (out.empty() ? "" : ", ") + std::to_string(life.node.value);
  return out;
}

std::string change(const char* what, const std::vector<wire::ServerLife>& lives) {
  return lives.empty() ? "" : std::string("; ") + what + ": " + nodes(lives);
}

std::string view(const wire::ServerEvent& event) {
  return "view " + std::to_string(event.view.value) + ": " + nodes(event.members) + " (" +
         std::to_string(event.node.value) + " leads" +
         (event.witness ? ", witness " + std::to_string(event.witness.value) : "") + ")" + change("new", event.joined) +
         change("restarted", event.restarted) + change("lost", event.lost) + change("left", event.left);
}

std::string amount(const wire::ServerEvent& event, const std::string& one, const std::string& more) {
  constexpr std::uint64_t kKibi = 1024;
  const bool small = event.bytes < kKibi * kKibi;
  const std::string size = small ? std::to_string((event.bytes + kKibi - 1) / kKibi) + " KiB" : mebibytes(event.bytes);
  return std::to_string(event.count) + " " + (event.count == 1 ? one : more) + " (" + size + ")";
}
std::string copies(const wire::ServerEvent& event) { return amount(event, "copy", "copies"); }

std::string refusal(const wire::ServerEvent& event) {
  return (event.node ? server(event.node) : "a stranger") + ": " + event.reason +
         (event.count > 1 ? " (" + std::to_string(event.count - 1) + " more refused since the last line)" : "");
}

std::string job(const wire::ServerEvent& event) {
  return hex(event.job.value) + " of user " + std::to_string(event.owner.value) +
         (event.ranks != 0 ? ", " + std::to_string(event.ranks) + (event.ranks == 1 ? " process" : " processes") : "");
}

std::string copy_of(const wire::ServerEvent& event) {
  return "version " + std::to_string(event.version.value) + " of \"" + event.checkpoint + "\" of user " +
         std::to_string(event.owner.value) + ", " + std::to_string(event.bytes) + " bytes";
}

// Nothing is known of an event that a newer server tells, so: all that it has for people.
std::string other(const wire::ServerEvent& event) {
  return (event.node ? server(event.node) : "") + (event.node && !event.reason.empty() ? ": " : "") + event.reason;
}

std::string details(const wire::ServerEvent& event) {
  const std::string& name = event.event;
  if (name == "view_installed") return view(event);
  if (name == "overridden") return override_mark(event.overridden);
  if (name == "wedged") return event.reason;
  if (name == "unwedged") return "acts again in view " + std::to_string(event.view.value);
  if (name == "evicted")
    return "view " + std::to_string(event.view.value) + " goes on without this server, which begins anew" +
           (event.reason.empty() ? "" : "; " + event.reason);
  if (name == "peer_refused") return refusal(event);
  if (name == "copies_lost")
    return amount(event, "version", "versions") + " without a second copy now" +
           (event.reason.empty() ? "" : "; " + event.reason);
  if (name == "copying_started") return copies(event) + " to make, with " + server(event.node);
  if (name == "copying_progress") return copies(event) + " left";
  if (name == "copying_done") return copies(event) + " made";
  if (name == "copy_damaged") return copy_of(event) + ": the copy here does not have its checksums any more";
  if (name == "copy_repaired") return copy_of(event) + ": replaced by the copy of " + server(event.node);
  if (name == "copy_unrepaired") return copy_of(event) + ": " + event.reason;
  if (name == "job_created" || name == "job_ended") return job(event);
  if (name == "server_started")
    return server(event.node) + ", incarnation " + std::to_string(event.incarnation.value) +
           (event.view ? ", remembers view " + std::to_string(event.view.value) : "") +
           (event.reason.empty() ? "" : "; " + event.reason);
  return other(event);
}

const char* colour(const std::string& name) {
  for (const char* bad : {"wedged", "overridden", "evicted", "member_suspected", "link_down", "peer_refused",
                          "copies_lost", "copy_damaged", "copy_unrepaired"})
    if (name == bad) return "31";
  for (const char* good : {"unwedged", "member_heard", "link_up", "copying_done", "copy_repaired", "view_installed"})
    if (name == good) return "32";
  return "0";
}

}  // namespace

std::string event_line(const wire::ServerEvent& event, bool colours) {
  std::string out;
  if (event.missed > 0)
    out = local_time(event.time_us) + "  " + padded("events_missed", kNameWidth) + "  " + std::to_string(event.missed) +
          " that came faster than they were read\n";
  return out + local_time(event.time_us) + "  " +
         coloured(padded(event.event, kNameWidth), colour(event.event), colours) + "  " + details(event) + "\n";
}

}  // namespace rk::cli
