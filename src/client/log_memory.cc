// SPDX-License-Identifier: Apache-2.0
#include "client/log_memory.h"

#include <algorithm>

#include "client/log_session.h"
#include "client/segment_mapping.h"
#include "shm/memory_file.h"

namespace rk::client {

namespace {

constexpr std::uint64_t kStep = std::uint64_t{1} << 20U;            // entered by a send that has no free memory
constexpr std::uint64_t kSlice = std::uint64_t{64} << 10U;          // by a process that waits
constexpr std::uint64_t kReadSlice = std::uint64_t{128} << 10U;     // the same, of another process's segment
constexpr std::uint64_t kLargestWindow = std::uint64_t{8} << 20U;   // of read-ahead
constexpr std::uint64_t kFewestAtOnce = std::uint64_t{256} << 10U;  // smaller chunks are entered by reading them

std::uint64_t page_floor(std::uint64_t bytes) { return bytes / shm::kPageBytes * shm::kPageBytes; }

tl::unexpected<Error> too_much() {
  return fail(ErrorCode::kCorrupt, "the server gave more log memory than it mapped: install matching releases");
}

}  // namespace

LogMemory::LogMemory(const JobEnvironment& environment, Connection& connection)
    : environment_(environment), connection_(connection), peers_(environment.community_of.size()) {}

Result<std::uint64_t> LogMemory::attach() {
  std::vector<shm::Descriptor> arrived;
  const CallOptions options{environment_.incarnation, &arrived, 0};
  RK_TRY(const auto attached,
         connection_.call<wire::JobAttached>(wire::JobAttach{environment_.job, environment_.rank}, options));
  if (arrived.size() != 2 || attached.community_of != environment_.community_of)
    return fail(ErrorCode::kCorrupt, "the server knows another job of this number: start it again with 'ringkeep run'");
  RK_TRY(const auto bell_file, shm::MemoryFile::adopt(std::move(arrived[0]), attached.bells_bytes));
  RK_TRY(const auto own_file, shm::MemoryFile::adopt(std::move(arrived[1]), attached.segment_bytes));
  RK_TRY(bells_, shm::Mapping::map(bell_file.descriptor(), attached.bells_bytes, shm::Access::kReadWrite));
  RK_TRY(own_, shm::Mapping::map(own_file.descriptor(), attached.segment_bytes, shm::Access::kReadWrite));
  RK_TRY_VOID(take_grant(attached.usable_bytes));
  // What an earlier life has used comes into the page table as far as it is read again.
  if (granted_ <= kAhead) RK_TRY_VOID(enter(granted_));
  return told_ = entered_ = granted_;
}

Status LogMemory::take_grant(std::uint64_t usable) {
  if (usable > own_.size()) return too_much();
  granted_ = std::max(granted_, usable);
  return {};
}

Status LogMemory::enter(std::uint64_t bytes) {
  const std::uint64_t count = std::min(bytes, granted_ - entered_);
  RK_TRY_VOID(own_.populate(entered_, count));
  entered_ += count;
  return {};
}

Result<std::uint64_t> LogMemory::grow(std::uint64_t bytes) {
  // What was asked for ahead comes first: it may be the last that there is.
  if (entered_ == granted_ && connection_.begun()) {
    const auto answer = connection_.poll_answer<wire::LogGrown>(connection_.timeout_ms());
    if (answer && *answer) RK_TRY_VOID(take_grant((*answer)->usable_bytes));
  }
  if (entered_ == granted_) {
    const wire::LogGrow request{environment_.job, environment_.rank, shm::round_up_to_page(bytes)};
    const CallOptions options{environment_.incarnation, nullptr, 0};
    RK_TRY(const auto answer, connection_.call<wire::LogGrown>(request, options));
    RK_TRY_VOID(take_grant(answer.usable_bytes));
    refused_ahead_ = false;
  }
  RK_TRY_VOID(enter(kStep));
  return told_ = entered_;
}

bool LogMemory::coming(std::uint64_t bytes) const {
  return connection_.begun() || refused_ahead_ || granted_ - entered_ >= bytes / 2;
}

void LogMemory::grow_ahead(std::uint64_t bytes) {
  const wire::LogGrow request{environment_.job, environment_.rank, shm::round_up_to_page(bytes)};
  // What goes wrong here is said by grow(), if the space is needed at all.
  if (!connection_.begin(request, {environment_.incarnation, nullptr, 0})) refused_ahead_ = true;
}

std::uint64_t LogMemory::grown() {
  if (connection_.begun()) {
    const auto answer = connection_.poll_answer<wire::LogGrown>();
    refused_ahead_ = !answer || (*answer && !take_grant((*answer)->usable_bytes));
  }
  // In steps: the log does more with the news than is worth it for a slice.
  if (entered_ == told_ || (entered_ < granted_ && entered_ - told_ < kStep)) return 0;
  return told_ = entered_;
}

Result<log::SegmentView> LogMemory::open(std::uint32_t rank) {
  Peer& peer = peers_[rank];
  if (peer.view.valid()) return peer.view;
  if (!peer.memory) {
    RK_TRY(peer.memory, map_segment(connection_, environment_.job, Rank(rank), environment_.incarnation));
  }
  const auto ranks = static_cast<std::uint32_t>(peers_.size());
  RK_TRY(peer.view, log::SegmentView::open(peer.memory.bytes(), {environment_.job, Rank(rank), ranks}));
  return peer.view;
}

void LogMemory::reading(std::uint32_t rank, std::uint64_t offset, std::uint64_t bytes) {
  Peer& peer = peers_[rank];
  const bool was_wanted = peer.ready < peer.wanted;
  const bool in_a_row = offset == peer.chunk_end;
  peer.chunk_end = offset + bytes;
  peer.window = in_a_row ? std::min(std::max(bytes, peer.window * 2), kLargestWindow) : 0;
  peer.wanted = page_floor(peer.chunk_end + peer.window);
  peer.ready = std::max(peer.ready, page_floor(offset));
  const std::uint64_t end = page_floor(peer.chunk_end);
  if (end > peer.ready && end - peer.ready >= kFewestAtOnce) {
    // In vain only without memory for page tables: then reading them takes the fault.
    static_cast<void>(peer.memory.populate(peer.ready, end - peer.ready));
    peer.ready = end;
  }
  if (!in_a_row) peer.wanted = 0;
  read_ahead_ += static_cast<std::uint32_t>(peer.ready < peer.wanted) - static_cast<std::uint32_t>(was_wanted);
}

bool LogMemory::prepare_peer() {
  for (Peer& peer : peers_) {
    if (peer.ready >= peer.wanted) continue;
    // Not beyond what its owner has: those pages do not exist yet.
    const std::uint64_t end = std::min(peer.wanted, page_floor(peer.view.usable_bytes()));
    const std::uint64_t bytes = end > peer.ready ? std::min(end - peer.ready, kReadSlice) : 0;
    if (bytes == 0 || !peer.memory.populate(peer.ready, bytes))
      peer.wanted = peer.ready;
    else
      peer.ready += bytes;
    if (peer.ready >= peer.wanted) --read_ahead_;
    return true;
  }
  return false;
}

void LogMemory::prepare() {
  if (read_ahead_ > 0 && prepare_peer()) return;
  // In vain only without memory: then the send that needs it says so.
  static_cast<void>(enter(kSlice));
}

}  // namespace rk::client
