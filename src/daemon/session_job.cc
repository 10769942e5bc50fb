// SPDX-License-Identifier: Apache-2.0
// Requests of jobs: JobCreate, JobAttach, SegmentOpen, LogGrow, JobFence, JobRemove.
#include <array>

#include "daemon/server.h"

namespace rk::daemon {
namespace {

std::string checkpoint_prefix(JobId id) {
  Bytes bytes;
  for (unsigned i = 0; i < 8; ++i) bytes.push_back(static_cast<std::byte>((id.value >> (56U - 8U * i)) & 0xffU));
  return "job/" + to_hex(bytes) + "/";
}

}  // namespace

Status Server::handle_job(Session& session, const wire::Frame& frame) {
  const ClientIdentity& client = session.client;
  const auto conclude = [&](const Status& status) {
    if (status)
      answer(client.session, frame.request, wire::Done{});
    else
      refuse(client.session, frame.request, status.error());
  };
  switch (frame.type) {
    case wire::MessageType::kJobCreate: {
      RK_TRY(const auto request, wire::from_frame<wire::JobCreate>(frame));
      if (!ring_.serving)
        conclude(fail(ErrorCode::kUnavailable, "the ring does not serve: " + ring_.reason));
      else {
        const Status created = jobs_.create(client, request);
        if (created) event_writer_.job_created(client.owner, request);
        conclude(created);
      }
      return {};
    }
    case wire::MessageType::kJobAttach: {
      RK_TRY(const auto request, wire::from_frame<wire::JobAttach>(frame));
      const auto attached = jobs_.attach(client, frame.sender, request);
      if (const Status fenced = attached ? fence(client) : Status(); !fenced)
        refuse(client.session, frame.request, fenced.error());
      else if (attached)
        answer(client.session, frame.request, attached->message, std::array{attached->bells, attached->segment});
      else
        refuse(client.session, frame.request, attached.error());
      return {};
    }
    case wire::MessageType::kSegmentOpen: {
      RK_TRY(const auto request, wire::from_frame<wire::SegmentOpen>(frame));
      const auto opened = jobs_.open_segment(client, request);
      if (opened)
        answer(client.session, frame.request, opened->message, std::array{opened->segment.get()});
      else
        refuse(client.session, frame.request, opened.error());
      return {};
    }
    case wire::MessageType::kLogGrow: {
      RK_TRY(const auto request, wire::from_frame<wire::LogGrow>(frame));
      if (const auto status = jobs_.grow(client, frame.request, request); !status) conclude(status);
      continue_grows();
      return {};
    }
    case wire::MessageType::kJobFence: {
      RK_TRY(const auto request, wire::from_frame<wire::JobFence>(frame));
      conclude(jobs_.fence(client, frame.sender, request));
      return {};
    }
    case wire::MessageType::kJobRemove: {
      RK_TRY(const auto request, wire::from_frame<wire::JobRemove>(frame));
      conclude(jobs_.remove(client, request, loop_.now_ms()));
      drop_ended_jobs();
      return {};
    }
    default:
      return fail(ErrorCode::kCorrupt, "message type " + std::to_string(static_cast<std::uint32_t>(frame.type)) +
                                           " is no request of a job: use a client of this release");
  }
}

// One slice a turn of the loop, so that other clients and the ring have their turns between.
void Server::continue_grows() {
  if (grows_scheduled_ || !jobs_.has_grows()) return;
  grows_scheduled_ = true;
  loop_.post([this] {
    grows_scheduled_ = false;
    if (const auto grown = jobs_.run_grows()) {
      if (grown->usable_bytes)
        answer(grown->session, grown->request, wire::LogGrown{*grown->usable_bytes});
      else
        refuse(grown->session, grown->request, grown->usable_bytes.error());
    }
    continue_grows();
  });
}

void Server::drop_ended_jobs() {
  for (const JobRegistry::Ended& ended : jobs_.take_ended()) {
    event_writer_.job_ended(ended);
    if (keep_) keep_->remove_prefix(ended.owner, checkpoint_prefix(ended.job));
  }
}

}  // namespace rk::daemon
