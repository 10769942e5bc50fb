// SPDX-License-Identifier: Apache-2.0
// Joins the keep's core (keep/keep.h) to the loop: owns the memory of its slots, passes descriptors to clients, streams
// copies over the peer links, computes checksums, and turns frames into events and effects into frames.
//
// Slots are memory files of whole pages, kept for reuse by the same owner (warm pages are several times faster to fill
// than fresh ones) until memory is short, or no version of that size was there for some seconds: who deletes a
// checkpoint has its memory back. What a client could once write is only ever given to a client to write again: copies
// for and from other servers lie in memory that nobody else can change. A slot that a session has mapped read-only
// stays until the session releases it or ends. The order of events is the core's: what an effect produces is given to
// the core before the next frame.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "daemon/copy_watch.h"
#include "daemon/kept_memory.h"
#include "daemon/ports.h"
#include "keep/changed_pages.h"
#include "keep/keep.h"
#include "shm/mapping.h"
#include "shm/memory_budget.h"
#include "shm/memory_file.h"

namespace rk::daemon {

class KeepDriver final : public KeepHandler {
 public:
  // All references outlive the driver.
  // `kept`: what outlives this process; none: nothing does. `returned`: what outlived the one before. `put_off`: has
  // go_on() called in a later turn of the loop.
  KeepDriver(const keep::Config& config, ClientPort& clients, PeerPort& peers, shm::MemoryBudget& budget,
             std::function<LeaveToAct()> leave_to_act, std::function<void(wire::ServerEvent)> tell,
             std::function<void()> put_off, std::unique_ptr<KeptMemory> kept, KeptMemory::Returned returned);

  Status on_request(const ClientIdentity& client, const wire::Frame& frame) override;
  void on_session_closed(std::uint64_t session) override;
  Status on_peer_frame(NodeId from, Incarnation incarnation, const wire::Frame& frame) override;
  void on_peer_down(NodeId peer) override;
  void on_ring(const RingState& ring) override;
  void on_tick(std::uint64_t now_ms) override;
  void on_room() override { pump(); }
  void go_on() override;
  void remove_prefix(OwnerId owner, std::string_view prefix) override;
  std::uint64_t checkpoints() const override { return core_.checkpoints(); }
  void on_end() override;
  wire::IntegrityStatus integrity() const override { return core_.integrity(); }
  wire::ReplicationStatus replication() const override;

 private:
  struct Slot {
    OwnerId owner;
    std::uint64_t bytes = 0;  // of the version; the file is rounded up to pages
    shm::MemoryFile file;
    shm::Mapping mapping;                           // made when the server itself looks at the bytes
    std::map<std::uint64_t, std::uint32_t> pinned;  // how often each session has it open
    bool writable = false;                          // a client has it, or had it, to write
    bool freed = false;                             // the core has done with it
    std::uint64_t number = 0;                       // of the file, in the kept memory
    bool left_mapped = false;  // by clients that went without a word, and live perhaps: it is used by nobody else
    bool damaged = false;      // its memory is not used again
  };
  // Memory that nothing uses; touched, and mapped if it was.
  struct Warm {
    shm::MemoryFile file;
    shm::Mapping mapping;
    std::uint64_t number = 0;
  };
  struct WarmKey {
    OwnerId owner;
    std::uint64_t bytes = 0;
    bool writable = false;
    auto operator<=>(const WarmKey&) const = default;  // NOLINT(modernize-use-nullptr): false alarm
  };
  using WarmFiles = std::map<WarmKey, std::vector<Warm>>;
  // Puts whose bytes are not in a slot yet.
  using PutKey = std::pair<std::uint64_t, std::uint64_t>;  // session, request
  struct WaitingPut {
    Bytes payload;                           // empty: the sections lie in the frame that is being handled
    std::vector<wire::PutSection> sections;  // views
    std::size_t bytes = 0;                   // of all sections
    void own(const Bytes& frame);
  };
  struct Incoming {
    keep::SlotId slot;
    std::uint64_t offset = 0;  // in what travels
    std::uint64_t bytes = 0;
    std::vector<wire::SectionPlace> sections;
    keep::SlotId base;  // 0: all bytes travel
    keep::PageRanges changed;
    std::optional<keep::PageStream> pages;  // where the next bytes go; none: to their offset
  };
  struct Outgoing {
    NodeId to;
    std::uint64_t copy = 0;
    keep::SlotId slot;
    std::uint64_t offset = 0;  // likewise
    std::uint64_t bytes = 0;
    std::optional<keep::PageStream> pages;
    Bytes piece;  // of pages, that the link has not taken yet
  };
  // Checksums of a slot's sections, computed a bounded piece at a time so that the loop keeps turning.
  struct Summing {
    keep::SlotId slot;
    std::vector<wire::SectionPlace> sections;
    bool arrival = false;  // of a copy from another server; else of a client's commit
    std::vector<std::uint64_t> sums;
    std::uint64_t offset = 0;  // in the section that is being summed
    StreamingChecksum current;
    keep::SlotId base;         // 0: none
    keep::PageRanges changed;  // of an arrival: what did not come from the base
    std::optional<keep::ChangedPages> compared;
  };
  // The same of a copy at rest, behind all of those.
  struct Checking {
    Summing sum;
    std::uint64_t bytes_per_s = 0;  // 0: as fast as it goes
  };
  using Body = decltype(keep::Event::body);

  void feed(Body body);
  void drain();
  void carry(keep::Remember& effect);
  void carry(keep::Send& effect);
  void carry(keep::TakeSlot& effect);
  void carry(keep::FreeSlot& effect);
  void carry(keep::SumSlot& effect);
  void carry(keep::FillSlot& effect);
  void carry(keep::CheckSlot& effect);
  void carry(keep::CopyNews& effect);
  void carry(keep::SendCopy& effect);
  void carry(keep::ReceiveCopy& effect);
  void carry(keep::StopCopy& effect);
  void carry(keep::Answer& effect);
  Result<std::vector<shm::Descriptor>> descriptors_for(keep::Answer& effect);
  Status release(const ClientIdentity& client, const wire::Frame& frame);
  Status put(const ClientIdentity& client, const wire::Frame& frame);
  WaitingPut take_put(const PutKey& key);
  Status on_chunk(NodeId from, const wire::Frame& frame);
  void all_arrived(std::map<std::pair<NodeId, std::uint64_t>, Incoming>::iterator at);
  void pump();
  bool send_chunk(Outgoing& outgoing);
  void sum_some();
  // keep_checks.cc
  Status begin_sum(Summing& item);
  bool sum_piece(Summing& item, std::uint64_t& left);
  void check_some(std::uint64_t elapsed_ms);

  Result<Warm> memory_for(OwnerId owner, std::uint64_t bytes, bool writable);
  Warm take_warm(WarmFiles::iterator at);
  Status take_room(std::uint64_t bytes);
  void give_back(shm::MemoryFile file, std::uint64_t number);
  void forget(std::uint64_t bytes, std::uint64_t number);
  void cool();
  void unpin(std::uint64_t session, keep::SlotId id);
  void drop_if_unused(keep::SlotId id);
  static Status map_slot(Slot& slot);

  std::unique_ptr<KeptMemory> kept_;
  keep::Keep core_;
  std::function<void(wire::ServerEvent)> tell_;
  CopyWatch copy_watch_;
  ClientPort& clients_;
  PeerPort& peers_;
  shm::MemoryBudget& budget_;
  std::function<LeaveToAct()> leave_to_act_;
  std::function<void()> put_off_;
  std::uint64_t now_ms_ = 0;
  std::uint64_t ticked_ms_ = 0;
  bool draining_ = false;
  std::deque<Body> events_;
  std::map<keep::SlotId, Slot> slots_;
  std::map<std::pair<NodeId, std::uint64_t>, Incoming> incoming_;
  std::deque<Outgoing> outgoing_;
  std::uint64_t sent_bytes_ = 0;  // to other servers, of checkpoints
  std::deque<Summing> summing_;
  std::deque<Checking> checking_;
  bool going_on_ = false;                                   // go_on() will be called
  std::map<std::uint64_t, std::set<keep::SlotId>> opened_;  // by session
  std::map<PutKey, WaitingPut> puts_;
  std::uint64_t put_bytes_ = 0;
  WarmFiles warm_;
  std::map<WarmKey, std::size_t> in_use_;          // slots that exist
  std::map<WarmKey, std::uint64_t> unused_since_;  // kinds of which none exists, in warm_
  std::uint64_t cooled_ms_ = 0;
  std::uint64_t warm_bytes_ = 0;
};

}  // namespace rk::daemon
