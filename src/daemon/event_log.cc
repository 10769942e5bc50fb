// SPDX-License-Identifier: Apache-2.0
#include "daemon/event_log.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "daemon/clock.h"

namespace rk::daemon {

std::string printable(std::string text, std::size_t limit) {
  text.resize(std::min(text.size(), limit));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

void EventLog::record(wire::ServerEvent event) {
  event.sequence = ++last_;
  event.time_us = since_epoch<std::chrono::microseconds, std::chrono::system_clock>();
  event.monotonic_ns = since_epoch<std::chrono::nanoseconds, std::chrono::steady_clock>();
  event.server = self_;
  event.reason = printable(std::move(event.reason), kMaxReasonBytes);
  events_.push_back(std::move(event));
  if (events_.size() > kMaxEvents) events_.pop_front();
  on_tick();
}

Status EventLog::subscribe(std::uint64_t session, std::uint64_t request, const wire::EventsSubscribe& message) {
  if (readers_.contains(session))
    return fail(ErrorCode::kExists, "this connection reads events already: open another one");
  Reader& reader = readers_[session] = {request, last_ - events_.size(), message.follow ? UINT64_MAX : last_};
  if (!feed(session, reader)) readers_.erase(session);
  return {};
}

void EventLog::on_tick() {
  for (auto at = readers_.begin(); at != readers_.end();)
    at = feed(at->first, at->second) ? std::next(at) : readers_.erase(at);
}

bool EventLog::feed(std::uint64_t session, Reader& reader) {
  const std::uint64_t oldest = last_ - events_.size() + 1;
  while (reader.sent < std::min(reader.end, last_)) {
    if (queued_(session) >= kWindowBytes) return true;
    const std::uint64_t next = std::max(reader.sent + 1, oldest);
    if (next > reader.end) break;  // all that it wanted and has not got is gone
    wire::ServerEvent event = events_[next - oldest];
    event.missed = next - reader.sent - 1;
    reader.sent = next;
    clients_.answer(session, reader.request, event);
  }
  if (reader.end > last_) return true;
  clients_.answer(session, reader.request, wire::Done{});
  return false;
}

}  // namespace rk::daemon
