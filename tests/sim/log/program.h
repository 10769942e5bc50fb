// SPDX-License-Identifier: Apache-2.0
// The simulated program: what each process does, made from a seed before the run. It is deterministic but for what the
// log must make repeatable: which message a wildcard gets, which request completed, flags of test and probe, the clock.
//
// A program is a row of phases. In a phase every process sends its messages before it blocks, and posts receives for
// at most as many as it gets, so that no interleaving of a correct run can hang. Each phase has its own context.
#pragma once

#include <cstdint>
#include <vector>

#include "base/prng.h"

namespace rk::log {

enum class OpKind : std::uint8_t {
  kSend,     // to `peer`, inside or outside, `length` bytes made from all that the process has seen
  kReceive,  // posts a receive from `peer` (or any) as request `request`
  kWait,     // for request `request`
  kWaitAny,  // for one of the open requests
  kTest,     // of request `request`
  kProbe,    // of any source; if it finds something, the next wildcard receive asks for exactly that
  kClock,
  kQuestion,    // the restart question: end of the prologue
  kCheckpoint,  // of the community
};

struct Op {
  OpKind kind = OpKind::kClock;
  std::uint64_t context = 0;
  std::uint32_t peer = 0;
  std::int32_t tag = 0;
  std::uint32_t length = 0;
  std::uint32_t request = 0;  // number of the receive, from 0, in program order
  bool abandoned = false;     // of a receive: the program never waits for it
};

struct ProgramPlan {
  std::vector<std::uint32_t> community_of;  // by rank
  std::vector<std::uint32_t> node_of;       // by community
  bool checkpoints = false;
  std::vector<std::vector<Op>> ops;  // by rank
  bool inside(std::uint32_t a, std::uint32_t b) const { return community_of[a] == community_of[b]; }
  bool same_node(std::uint32_t a, std::uint32_t b) const {
    return node_of[community_of[a]] == node_of[community_of[b]];
  }
};

ProgramPlan make_program(Prng prng);

}  // namespace rk::log
