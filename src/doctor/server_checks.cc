// SPDX-License-Identifier: Apache-2.0
// Of the server's configuration, of jobs and of what they left.
#include "doctor/checks.h"

namespace rk::doctor {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

Finding check_own_port(const PortFacts& port) {
  constexpr char kCheck[] = "ports";
  using Outcome = PortFacts::Outcome;
  const std::string name = "the address of this server, " + port.address + ",";
  const std::string digits = port.address.substr(port.address.rfind(':') + 1);
  switch (port.outcome) {
    case Outcome::kFree:
      return ok(kCheck, name + " is free");
    case Outcome::kOurs:
      return ok(kCheck, name + " is its own");
    case Outcome::kTaken:
      return problem(kCheck, name + " is in use by another process",
                     "end that process (ss -ltnp 'sport = :" + digits + "' names it), or change the roster everywhere");
    case Outcome::kNotHere:
      return problem(kCheck, name + " is no address of this machine",
                     "correct 'node' or the roster, or bring the network interface up");
    case Outcome::kForbidden:
      return problem(kCheck, name + " is forbidden to this user", "choose a port from 1024 on");
    case Outcome::kUnresolved:
      return problem(kCheck, name + " has a name that does not resolve",
                     "correct the roster, or add the name to /etc/hosts");
    default:
      return problem(kCheck, name + " can not be listened on: " + port.word, "choose another one in the roster");
  }
}

Finding check_other_port(const PortFacts& port) {
  constexpr char kCheck[] = "ports";
  using Outcome = PortFacts::Outcome;
  const std::string name = "server " + std::to_string(port.node) + " (" + port.address + ")";
  switch (port.outcome) {
    case Outcome::kAnswers:
      return ok(kCheck, name + " can be reached");
    case Outcome::kRefused:
      return warning(kCheck, "nothing listens at " + name, "start that server");
    case Outcome::kSilent:
      return warning(kCheck, name + " does not answer",
                     "start its machine, and let its firewall pass TCP to that port from here");
    case Outcome::kUnresolved:
      return problem(kCheck, name + " has a name that does not resolve",
                     "correct the roster, or add the name to /etc/hosts");
    default:
      return warning(kCheck, name + " can not be reached: " + port.word, "look at the network between the two");
  }
}

}  // namespace

Findings check_key(const KeyFacts& facts) {
  constexpr char kCheck[] = "key";
  if (facts.file.empty()) return {ok(kCheck, "none is needed: no other server is in the roster")};
  if (facts.read) return {ok(kCheck, facts.file + " is a key that only this user can read")};
  return {problem(kCheck, facts.read.error(), "name the file that holds the cluster's key in 'key_file'")};
}

Findings check_directory(const char* check, const DirectoryFacts& facts) {
  if (facts.path.empty()) return {ok(check, "none yet: a configuration or `ringkeep up` names one")};
  if (!facts.usable)
    return {problem(check, facts.usable.error(), "make the directory above it writable for the server's user")};
  if (!facts.exists) return {ok(check, facts.path + " can be made")};
  if (!facts.durable)
    return {problem(check, facts.durable.error(), "free space or mend the file system that it is on")};
  if (facts.in_memory && !facts.of_private_ring)
    return {warning(check,
                    facts.path + " is on a tmpfs: a server that comes back after its machine's end has no memory of "
                                 "the ring's views",
                    "choose a state_directory on a disk")};
  return {ok(check, facts.path + " is private, and files in it become durable")};
}

Findings check_ports(const std::vector<PortFacts>& roster) {
  Findings out;
  for (const PortFacts& port : roster) out.push_back(port.own ? check_own_port(port) : check_other_port(port));
  if (out.empty()) out.push_back(ok("ports", "none is needed: no other server is in the roster"));
  return out;
}

Findings check_mpi(const MpiFacts& facts) {
  constexpr char kCheck[] = "mpi";
  Findings out;
  if (!facts.server) out.push_back(problem(kCheck, facts.server.error(), "install ringkeep as a whole"));
  if (!facts.layer) out.push_back(warning(kCheck, facts.layer.error().message, "install ringkeep as a whole"));
  if (!facts.mpirun) {
    out.push_back(warning(kCheck, "there is no Open MPI, so `ringkeep run` can start no job",
                          "install it (on Debian: openmpi-bin), or go on without: servers do not need it"));
    return out;
  }
  constexpr char kTested[] = " 4.1.";
  if (facts.version.find(kTested) == std::string::npos)
    out.push_back(warning(kCheck, *facts.mpirun + " is '" + facts.version + "', and this release is tested with 4.1",
                          "install Open MPI 4.1, and put it first on the PATH"));
  if (!facts.parameters_known)
    out.push_back(warning(kCheck, "ompi_info is missing, so the parameters of Open MPI can not be checked",
                          "install it (it comes with Open MPI)"));
  else if (!facts.lacks.empty())
    out.push_back(problem(kCheck, "this Open MPI does not have " + joined(facts.lacks) + ", which `ringkeep run` sets",
                          "install Open MPI 4.1"));
  if (out.empty()) out.push_back(ok(kCheck, *facts.mpirun + ", " + facts.version + ", with the MPI layer"));
  return out;
}

Findings check_leftovers(const LeftoverFacts& facts) {
  constexpr char kCheck[] = "leftovers";
  Findings out;
  if (!facts.stale_jobs.empty())
    out.push_back(warning(kCheck, "killed jobs left " + joined(facts.stale_jobs),
                          "run the next job, or `ringkeep up`: both remove them"));
  if (!facts.dead_servers.empty()) {
    std::string dead;
    for (const std::uint32_t node : facts.dead_servers) dead += (dead.empty() ? "" : ", ") + std::to_string(node);
    out.push_back(warning(kCheck,
                          "of the " + std::to_string(facts.servers) + " servers of the private ring in " + facts.ring +
                              " these do not answer: " + dead,
                          "run `ringkeep down` and `ringkeep up`; what was saved in the ring ends with it"));
  }
  if (out.empty())
    out.push_back(ok(kCheck, facts.ring.empty() ? "no job and no private ring of this user left anything"
                                                : "the private ring in " + facts.ring +
                                                      " is whole, and no job left "
                                                      "anything"));
  return out;
}

}  // namespace rk::doctor
