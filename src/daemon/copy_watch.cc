// SPDX-License-Identifier: Apache-2.0
#include "daemon/copy_watch.h"

#include "daemon/event_log.h"

namespace rk::daemon {

CopyWatch::Debt CopyWatch::debt(const keep::Catalogue& catalogue) const {
  Debt debt;
  for (const auto& [key, entry] : catalogue.entries()) {
    if (!entry.home) continue;
    for (const auto& [version, record] : entry.versions) {
      if (!record.committed || record.level != wire::CommitLevel::kReplicated) continue;
      if (record.here && record.holders.empty()) {
        ++debt.bare;
        debt.bare_bytes += record.content.total;
      }
      const bool second = record.here && second_.node && !record.holders.contains(second_);
      if (!second && (record.here || record.holders.empty())) continue;
      ++debt.copies;
      debt.bytes += record.content.total;
    }
  }
  return debt;
}

void CopyWatch::tell(const char* name, std::uint64_t count, std::uint64_t bytes, std::string reason) {
  wire::ServerEvent event;
  event.event = name;
  event.view = view_;
  event.node = second_.node;
  event.incarnation = second_.incarnation;
  event.count = count;
  event.bytes = bytes;
  event.reason = std::move(reason);
  tell_(std::move(event));
}

void CopyWatch::on_ring(const RingState& ring, const keep::Catalogue& catalogue, std::uint64_t now_ms) {
  if (ring.view == view_) return;
  view_ = ring.view;
  second_ = {ring.keeper.node, ring.keeper.incarnation};
  const Debt now = debt(catalogue);
  if (now.bare > 0)
    tell(events::kCopiesLost, now.bare, now.bare_bytes,
         second_.node ? "" : "this server is alone in its ring: there is no place for second copies");
  if (now.copies > 0) tell(events::kCopyingStarted, now.copies, now.bytes);
  if (now.copies == 0 && started_.copies > 0) tell(events::kCopyingDone, started_.copies, started_.bytes);
  started_ = now;
  left_ = now.copies;
  looked_ms_ = told_ms_ = now_ms;
}

void CopyWatch::on_tick(const keep::Catalogue& catalogue, std::uint64_t now_ms) {
  const bool large = catalogue.entries().size() >= kLargeNames;
  if (started_.copies == 0 || (large && now_ms < looked_ms_ + kLookMs)) return;
  looked_ms_ = now_ms;
  const Debt now = debt(catalogue);
  if (now.copies == 0) {
    tell(events::kCopyingDone, started_.copies, started_.bytes);
    started_ = {};
  } else if (now.copies != left_ && now_ms >= told_ms_ + kProgressMs) {
    told_ms_ = now_ms;
    left_ = now.copies;
    tell(events::kCopyingProgress, now.copies, now.bytes);
  }
}

}  // namespace rk::daemon
