// SPDX-License-Identifier: Apache-2.0
#include "cli/status_table.h"

#include <algorithm>

#include "cli/override.h"
#include "cli/terminal.h"

namespace rk::cli {
namespace {

std::string damage_line(const wire::IntegrityStatus& integrity) {
  const std::uint64_t replaced =
      integrity.damaged - std::min(integrity.damaged, integrity.repaired + integrity.unrepaired);
  return "damaged copies here: " + std::to_string(integrity.damaged) + " found in " +
         std::to_string(integrity.checked) + " checks, " + std::to_string(integrity.repaired) + " repaired, " +
         std::to_string(integrity.unrepaired) + " not repaired" +
         (replaced > 0 ? ", " + std::to_string(replaced) + " let go of" : "");
}

}  // namespace

std::string status_table(const wire::StatusAnswer& status, bool colours) {
  const bool serving = status.state == "serving";
  // The witness is the last of the members and holds no copies.
  const bool witness = !status.members.empty() && status.members.back().witness;
  const std::size_t holders = status.members.size() - (witness ? 1 : 0);
  std::string out = "ring of " + std::to_string(holders) + (witness ? " and a witness" : "") + ", view " +
                    std::to_string(status.view.value) + ": " + coloured(status.state, serving ? "32" : "31", colours);
  if (!status.reason.empty()) out += " (" + status.reason + ")";
  out += "\n";
  if (const std::string mark = override_mark(status.overridden); !mark.empty())
    out += "  " + coloured(mark, "33", colours) + "\n";
  if (!status.members.empty()) out += "  server  address                role     copies kept by  link\n";
  for (std::size_t i = 0; i < status.members.size(); ++i) {
    const wire::MemberStatus& member = status.members[i];
    // A server's second copies lie on its predecessor.
    const wire::MemberStatus& predecessor = status.members[holders == 0 ? 0 : (i + holders - 1) % holders];
    const bool paired = holders > 1 && !member.witness;
    const bool here = member.node == status.node;
    out += "  " + padded(std::to_string(member.node.value), 8) + padded(member.address, 23) +
           padded(member.witness ? "witness"
                  : i == 0       ? "leader"
                                 : "member",
                  9) +
           padded(paired ? "server " + std::to_string(predecessor.node.value) : "nobody", 16) +
           (here               ? "this server"
            : member.connected ? (status.links.encrypted ? "connected" : "connected, not encrypted")
                               : coloured("no link", "31", colours)) +
           "\n";
  }
  out += "memory: " + mebibytes(status.used_bytes) + " of " + mebibytes(status.budget_bytes) + " used, " +
         std::to_string(status.checkpoints) + (status.checkpoints == 1 ? " checkpoint\n" : " checkpoints\n");
  if (status.integrity.damaged > 0)
    out += coloured(damage_line(status.integrity), status.integrity.unrepaired > 0 ? "31" : "33", colours) + "\n";
  if (status.jobs.empty()) return out + "no jobs\n";
  out += "  job               owner   processes  log\n";
  for (const wire::JobStatus& job : status.jobs) {
    out += "  " + padded(hex(job.job.value), 18) + padded(std::to_string(job.owner.value), 8) +
           padded(std::to_string(job.attached) + "/" + std::to_string(job.ranks), 11) + mebibytes(job.log_bytes) + "\n";
  }
  return out;
}

}  // namespace rk::cli
