// SPDX-License-Identifier: Apache-2.0
// Requests of the keep, fenced, then handed to its driver.
#include "daemon/server.h"

namespace rk::daemon {

Status Server::handle_keep(Session& session, const wire::Frame& frame) {
  const std::uint64_t number = session.client.session;
  if (const auto status = jobs_.check_not_fenced(number); !status) {
    refuse(number, frame.request, status.error());
    return {};
  }
  if (!keep_) {
    refuse(number, frame.request, Error{ErrorCode::kUnsupported, "this server keeps no checkpoints: use another one"});
    return {};
  }
  if (config_.witness == config_.node || ring_.witness.node == config_.node) {
    refuse(number, frame.request,
           Error{ErrorCode::kUnsupported,
                 "this server is the witness of its ring and holds no data: use the socket of another server"});
    return {};
  }
  keep_->on_tick(loop_.now_ms());
  if (frame.type == wire::CheckpointPut::kType && frame.payload.size() <= kSmallBytes) loop_.expect_more();
  return keep_->on_request(session.client, frame);
}

}  // namespace rk::daemon
