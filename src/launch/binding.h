// SPDX-License-Identifier: Apache-2.0
// One binding plan over all communities of the node. Each mpirun would bind its own processes from core 0 on, so two
// of them would share core 0 and leave others idle; therefore mpirun binds nothing and exec-rank binds by this plan.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace rk::launch {

struct BindingPlan {
  std::vector<std::vector<std::uint32_t>> cpus_of;  // one list a rank; empty: not bound
  bool oversubscribed = false;                      // more processes than cores: waiting must yield at once
};

// `cores`: the cores that this job may use, each with its logical CPUs. Rank i gets core i when there is one for
// everybody and `bind`; else nobody is bound.
BindingPlan plan_binding(std::uint32_t ranks, const std::vector<std::vector<std::uint32_t>>& cores, bool bind);

// The cores of this machine that our affinity mask allows, in order.
std::vector<std::vector<std::uint32_t>> allowed_cores();

}  // namespace rk::launch
