// SPDX-License-Identifier: Apache-2.0
// An operator's override: who may ask, what it would be, and the answer when the ring's core has decided.
#include <unistd.h>

#include <algorithm>

#include "daemon/clock.h"
#include "daemon/logger.h"
#include "daemon/server.h"

namespace rk::daemon {

Status Server::handle_override(Session& session, const wire::Frame& frame) {
  RK_TRY(const auto message, wire::from_frame<wire::OverrideRequest>(frame));
  const std::uint64_t number = session.client.session;
  const OwnerId asker = session.client.owner;
  if (asker != OwnerId(::geteuid()) && asker != OwnerId(0)) {
    refuse(number, frame.request,
           {ErrorCode::kPermission,
            "an override is for the user that runs this server, and for root: ask as one of "
            "them"});
    return {};
  }
  if (asked_override_) {
    refuse(number, frame.request, {ErrorCode::kExists, "an override is under way at this server: await its end"});
    return {};
  }
  wire::OverrideAnswer plan = plan_override();
  if (!message.confirmed || !plan.refusal.empty()) {
    answer(number, frame.request, plan);
    return {};
  }
  logger::warn("client " + session.program + ", pid " + std::to_string(session.client.pid) + ", user " +
               std::to_string(asker.value) + ", asks for an override: the servers that answer go on without a quorum");
  asked_override_ = AskedOverride{number, frame.request, std::move(plan)};
  ring_driver_->override_quorum(loop_.now_ms(), wall_clock_ms());
  return {};
}

wire::OverrideAnswer Server::plan_override() const {
  const ring::Core& core = ring_driver_->core();
  const ring::View& view = core.committed();
  wire::OverrideAnswer plan;
  plan.refusal = core.override_refusal();
  plan.view = view.number;
  plan.overridden = mark_of(view);
  plan.ring = view.ring.entries();
  for (const ring::Member& member : view.members) {
    const bool here = member.node == config_.node || links_->connected(member.node);
    (here ? plan.members : plan.missing).push_back(member.node);
  }
  return plan;
}

void Server::answer_override(const ring::Effect& effect) {
  if (!asked_override_) return;
  const auto* refused = std::get_if<ring::OverrideRefused>(&effect);
  const auto* installed = std::get_if<ring::ViewInstalled>(&effect);
  wire::OverrideAnswer& out = asked_override_->before;
  if (refused != nullptr) {
    out.refusal = refused->reason;
    logger::warn("the override is refused: " + refused->reason);
  } else if (installed != nullptr && installed->view.overridden.by == config_.node &&
             mark_of(installed->view) != out.overridden) {
    out.done = true;
    out.view = installed->view.number;
    out.overridden = mark_of(installed->view);
    std::vector<NodeId> before = std::move(out.members);
    before.insert(before.end(), out.missing.begin(), out.missing.end());
    out.members.clear();
    out.missing.clear();
    for (const ring::Member& member : installed->view.members) out.members.push_back(member.node);
    for (const NodeId node : before)
      if (!ring::rank_of(installed->view, node)) out.missing.push_back(node);
  } else {
    return;
  }
  answer(asked_override_->session, asked_override_->request, out);
  asked_override_.reset();
}

}  // namespace rk::daemon
