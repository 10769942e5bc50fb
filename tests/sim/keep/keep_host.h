// SPDX-License-Identifier: Apache-2.0
// One life of a simulated server: the keep's core, and a shell that keeps slots in ordinary memory and streams copies
// over the simulated network, chunk by chunk.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "keep/keep.h"
#include "sim/network.h"
#include "tests/sim/keep/keep_checker.h"

namespace rk::keep_sim {

inline constexpr std::size_t kChunkBytes = 4096;

class KeepHost {
 public:
  using Body = decltype(keep::Event::body);
  struct Ports {
    std::function<void(NodeId to, Bytes frame)> send;
    std::function<void(const keep::Answer& answer)> answer;
    std::function<std::uint64_t()> now_ms;
    std::function<std::uint64_t()> lease_until_ms;
    std::function<std::uint64_t()> fence_left_ms;
    std::function<bool()> refuse_memory;  // draws
    // Runs the action when the link has sent what it was given; empty: at once.
    std::function<void(std::function<void()> action)> when_sent = {};
    // What was not sent yet of that copy is not to be; empty: it is sent at once.
    std::function<void(NodeId to, std::uint64_t copy)> stop_sending = {};
    std::function<void(const keep::CopyNews& news)> news = {};
  };
  // What outlives a life that is killed.
  struct Remains {
    std::map<Bytes, Bytes> records;
    std::map<keep::SlotId, Bytes> slots;
  };
  // `remains`: of the life before in the same place.
  KeepHost(const keep::Config& config, Ports ports, Checker& checker, Remains remains = {});
  Remains remains() && { return {std::move(records_), std::move(slots_)}; }

  void feed(Body body);
  // The bytes of the put that is fed with that number: its sections, in order.
  void stash(std::uint64_t request, std::vector<Bytes> sections) { puts_[request] = std::move(sections); }
  // A frame of the network, from whichever life sent it.
  void frame(NodeId from, const wire::Frame& frame);

  const keep::Keep& core() const { return core_; }
  const keep::ViewInstalled& view() const { return view_; }
  keep::Member self() const { return config_.self; }
  // By the view that this server has.
  bool in_view(const keep::Member& member) const;
  std::optional<keep::Member> predecessor() const;  // none: it is alone, or no member itself
  Bytes& slot(keep::SlotId id) { return slots_.at(id); }
  std::size_t slots() const { return slots_.size(); }
  // Some bytes of a copy that this server streams to `to`, in that life of it, are still to come.
  bool streams_to(const KeepHost& to) const;
  // Of the key: that version, or a newer one that is known to be committed, if it is complete here; 0 if there is none.
  Version holds(const wire::KeepKey& key, Version least) const;
  // Is that version complete here?
  bool has(const wire::KeepKey& key, Version version) const;
  // Changes a byte of a copy at rest, behind the server's back; false if there is none of that version.
  bool spoil(const wire::KeepKey& key, Version version, Prng& prng);
  // Another server suspects it, and it is looked at at once.
  void look_at(NodeId from, const wire::KeepKey& key, Version version);
  // Its bytes were changed so.
  bool spoilt(keep::SlotId id) const { return spoilt_.contains(id); }
  // The server has found its copy damaged, and has not replaced it.
  bool knows_damaged(const wire::KeepKey& key, Version version) const {
    return known_damaged_.contains({key, version});
  }
  // Do the bytes of every complete copy have the checksums that its table says? `spoilt`: also of those that were
  // changed behind its back.
  void check_memory(bool spoilt) const;

 private:
  struct Incoming {
    keep::SlotId slot;
    std::set<std::uint64_t> offsets;  // of the chunks that came, in whatever order
    std::vector<wire::SectionPlace> sections;
    std::uint64_t bytes = 0;  // that come
    keep::SlotId base;        // 0: all do
    keep::PageRanges changed;
  };
  // Of a commit that is compared with its base, or of a copy that is put together.
  struct Summing {
    std::vector<wire::SectionPlace> sections;
    keep::SlotId base;
    std::optional<keep::PageRanges> arrived;  // of a copy: the pages that came
  };
  void drain();
  void carry(const keep::Remember& effect);
  void carry(const keep::Send& effect);
  void carry(const keep::TakeSlot& effect);
  void carry(const keep::FreeSlot& effect);
  void carry(const keep::SumSlot& effect);
  void carry(const keep::FillSlot& effect);
  void carry(const keep::CheckSlot& effect);
  void carry(const keep::CopyNews& effect);
  void carry(const keep::SendCopy& effect);
  void carry(const keep::ReceiveCopy& effect);
  void carry(const keep::StopCopy& effect);
  void carry(const keep::Answer& effect);
  void chunk(NodeId from, const wire::CopyChunk& chunk);
  void all_arrived(std::map<std::pair<NodeId, std::uint64_t>, Incoming>::iterator at);
  void sum(keep::SlotId slot, const Summing& item);
  std::optional<keep::PageRanges> compare(keep::SlotId slot, const Summing& item) const;
  void check_no_base(keep::SlotId slot) const;
  std::optional<keep::Memory> prove(Remains remains);
  void check_remembered(const keep::Effects& effects);
  static std::vector<std::uint64_t> sums(const Bytes& bytes, const std::vector<wire::SectionPlace>& sections);

  keep::Config config_;
  Ports ports_;
  Checker& checker_;
  std::map<keep::SlotId, Bytes> slots_;
  std::map<Bytes, Bytes> records_;
  keep::Keep core_;
  keep::ViewInstalled view_;
  std::deque<Body> events_;
  bool running_ = false;
  std::map<std::uint64_t, std::vector<Bytes>> puts_;
  std::map<std::pair<NodeId, std::uint64_t>, Incoming> incoming_;
  std::set<std::pair<NodeId, std::uint64_t>> streams_;                // to whom, and which copy
  std::map<keep::SlotId, std::vector<wire::SectionPlace>> checking_;  // answered at the next tick
  std::map<keep::SlotId, Summing> summing_;                           // likewise
  std::set<keep::SlotId> spoilt_;
  std::set<std::pair<wire::KeepKey, Version>> known_damaged_;
};

}  // namespace rk::keep_sim
