// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/log/program.h"

#include <algorithm>

#include "log/matcher.h"

namespace rk::log {

namespace {

class Phase {
 public:
  Phase(ProgramPlan& plan, std::vector<std::uint32_t>& requests, std::uint64_t context, Prng prng)
      : plan_(plan), requests_(requests), context_(context), prng_(prng), ranks_(plan.community_of.size()) {
    for (std::uint32_t from = 0; from < ranks_; ++from) {
      counts_.emplace_back();
      for (std::uint32_t to = 0; to < ranks_; ++to) counts_[from].push_back(from == to ? 0 : prng_.below(3));
    }
    // Inside a single community of one there is nobody; everybody gets something in most phases.
    large_ = plan.checkpoints && prng_.chance(1, 2);
  }

  void add() {
    for (std::uint32_t rank = 0; rank < ranks_; ++rank) add_late_specific(rank);
    for (std::uint32_t rank = 0; rank < ranks_; ++rank) add_rank(rank);
  }

 private:
  // A specific receive behind the wildcards: safe if its source sends more than all the wildcards can take.
  void add_late_specific(std::uint32_t rank) {
    late_.push_back(kAnySource);
    if (plan_.checkpoints || prng_.chance(1, 2)) return;
    const auto source = static_cast<std::uint32_t>(prng_.below(ranks_));
    if (source == rank) return;
    std::uint64_t all = 0;
    for (std::uint32_t from = 0; from < ranks_; ++from) all += counts_[from][rank];
    counts_[source][rank] += all + 1;
    surplus_ = all + 1;
    late_.back() = source;
    late_surplus_.resize(ranks_, 0);
    late_surplus_[rank] = all + 1;
  }

  void add_rank(std::uint32_t rank) {
    std::vector<Op> sends;
    std::vector<Op> specific;
    std::uint64_t wildcards = 0;
    for (std::uint32_t peer = 0; peer < ranks_; ++peer) {
      for (std::uint64_t i = 0; i < counts_[rank][peer]; ++i) sends.push_back(send_to(peer));
      std::uint64_t incoming = counts_[peer][rank];
      if (late_[rank] == peer) incoming -= late_surplus_[rank];
      const std::uint64_t asked_by_name = prng_.below(incoming + 1);
      for (std::uint64_t i = 0; i < asked_by_name; ++i) specific.push_back(receive_from(peer));
      wildcards += incoming - asked_by_name;
    }
    shuffle(sends);
    shuffle(specific);
    std::vector<Op> first;
    std::merge(sends.begin(), sends.end(), specific.begin(), specific.end(), std::back_inserter(first),
               [&](const Op&, const Op&) { return prng_.chance(1, 2); });
    std::vector<Op>& ops = plan_.ops[rank];
    std::vector<std::uint32_t> open;
    for (Op& op : first) emit(rank, op, open);
    for (std::uint64_t i = 0; i < wildcards; ++i) {
      idle(rank, open);
      Op op = receive_from(kAnySource);
      op.abandoned = !plan_.checkpoints && prng_.chance(1, 8);
      emit(rank, op, open);
    }
    if (late_[rank] != kAnySource) {
      Op op = receive_from(late_[rank]);
      emit(rank, op, open);
    }
    while (!open.empty()) {
      idle(rank, open);
      const std::size_t at = prng_.below(open.size());
      ops.push_back(request_op(OpKind::kWait, open[at]));
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }

  void emit(std::uint32_t rank, Op& op, std::vector<std::uint32_t>& open) {
    if (op.kind == OpKind::kReceive) {
      op.request = requests_[rank]++;
      if (!op.abandoned) open.push_back(op.request);
    }
    plan_.ops[rank].push_back(op);
  }

  // Something that waits for nothing, or for what is certain to come.
  void idle(std::uint32_t rank, const std::vector<std::uint32_t>& open) {
    std::vector<Op>& ops = plan_.ops[rank];
    for (std::uint64_t i = prng_.below(4); i > 0; --i) {
      switch (prng_.below(4)) {
        case 0:
          ops.push_back(request_op(OpKind::kClock, 0));
          break;
        case 1:
          ops.push_back(request_op(OpKind::kProbe, 0));
          break;
        case 2:
          if (!open.empty()) ops.push_back(request_op(OpKind::kTest, open[prng_.below(open.size())]));
          break;
        default:
          ops.push_back(request_op(OpKind::kWaitAny, 0));
      }
    }
  }

  Op request_op(OpKind kind, std::uint32_t request) const {
    Op op;
    op.kind = kind;
    op.context = context_;
    op.request = request;
    return op;
  }
  Op send_to(std::uint32_t peer) {
    Op op = request_op(OpKind::kSend, 0);
    op.peer = peer;
    op.tag = static_cast<std::int32_t>(prng_.below(3));
    op.length = static_cast<std::uint32_t>(8 + prng_.below(large_ ? 20000 : prng_.chance(1, 20) ? 100000 : 100));
    return op;
  }
  Op receive_from(std::uint32_t peer) const {
    Op op = request_op(OpKind::kReceive, 0);
    op.peer = peer;
    op.tag = kAnyTag;
    return op;
  }
  void shuffle(std::vector<Op>& ops) {
    for (std::size_t i = ops.size(); i > 1; --i) std::swap(ops[i - 1], ops[prng_.below(i)]);
  }

  ProgramPlan& plan_;
  std::vector<std::uint32_t>& requests_;
  std::uint64_t context_;
  Prng prng_;
  std::size_t ranks_;
  bool large_ = false;
  std::uint64_t surplus_ = 0;
  std::vector<std::vector<std::uint64_t>> counts_;  // messages, [from][to]
  std::vector<std::uint32_t> late_;                 // by rank: source of a specific receive behind the wildcards
  std::vector<std::uint64_t> late_surplus_;
};

}  // namespace

ProgramPlan make_program(Prng prng) {
  ProgramPlan plan;
  const std::uint64_t communities = prng.between(2, 3);
  const bool two_nodes = prng.chance(1, 2);
  for (std::uint32_t community = 0; community < communities; ++community) {
    plan.node_of.push_back(two_nodes ? static_cast<std::uint32_t>(prng.below(2)) : 0);
    for (std::uint64_t i = prng.between(1, 3); i > 0; --i) plan.community_of.push_back(community);
  }
  plan.checkpoints = prng.chance(1, 2);
  plan.ops.resize(plan.community_of.size());
  std::vector<std::uint32_t> requests(plan.community_of.size(), 0);
  const std::uint64_t phases = prng.between(2, 5);
  const std::uint64_t prologue = prng.below(2);
  for (std::uint64_t phase = 0; phase < phases; ++phase) {
    if (plan.checkpoints && phase == prologue)
      for (auto& ops : plan.ops) ops.push_back({OpKind::kQuestion, 0, 0, 0, 0, 0, false});
    Phase(plan, requests, 100 + phase, prng.fork()).add();
    if (plan.checkpoints && phase >= prologue)
      for (auto& ops : plan.ops) ops.push_back({OpKind::kCheckpoint, 0, 0, 0, 0, 0, false});
  }
  return plan;
}

}  // namespace rk::log
