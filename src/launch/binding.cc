// SPDX-License-Identifier: Apache-2.0
#include "launch/binding.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace rk::launch {
namespace {

// Identifies the physical core of a logical CPU; its own number where the kernel does not say.
std::uint64_t core_of(std::uint32_t cpu) {
  const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
  std::uint64_t package = 0;
  std::uint64_t core = 0;
  std::ifstream package_file(folder + "physical_package_id");
  std::ifstream core_file(folder + "core_id");
  if (!(package_file >> package) || !(core_file >> core)) return (std::uint64_t{1} << 63U) | cpu;
  return (package << 32U) | core;
}

}  // namespace

BindingPlan plan_binding(std::uint32_t ranks, const std::vector<std::vector<std::uint32_t>>& cores, bool bind) {
  BindingPlan plan;
  plan.oversubscribed = ranks > cores.size();
  plan.cpus_of.resize(ranks);
  if (!bind || plan.oversubscribed) return plan;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) plan.cpus_of[rank] = cores[rank];
  return plan;
}

std::vector<std::vector<std::uint32_t>> allowed_cores() {
  std::vector<std::vector<std::uint32_t>> cores;
  std::vector<std::uint64_t> identities;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return {{0}};
  for (std::uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    const std::uint64_t identity = core_of(cpu);
    const auto known = std::find(identities.begin(), identities.end(), identity);
    if (known == identities.end()) {
      identities.push_back(identity);
      cores.push_back({cpu});
    } else {
      cores[static_cast<std::size_t>(known - identities.begin())].push_back(cpu);
    }
  }
  return cores;
}

}  // namespace rk::launch
