// SPDX-License-Identifier: Apache-2.0
// One core, step by step: this server is 2 in the ring 1 -> 2 -> 3, its predecessor is 1.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "keep/keep.h"

namespace rk::keep {

inline constexpr OwnerId kOwner{1000};
inline constexpr SessionId kSession{5};

inline Member member(std::uint32_t node) { return {NodeId(node), Incarnation(1)}; }

class KeepCore : public ::testing::Test {
 protected:
  KeepCore() : core_({.self = member(2)}) { view(1, {1, 2, 3}); }

  void step(decltype(Event::body) body) {
    effects_.clear();
    core_.step({now_ms_, lease_until_ms_, fence_left_ms_, std::move(body)}, effects_);
    // Memory is always there, and every section sums to 7.
    for (std::size_t i = 0; i < effects_.size(); ++i) {
      if (const auto* take = std::get_if<TakeSlot>(&effects_[i])) {
        core_.step({now_ms_, lease_until_ms_, fence_left_ms_, SlotReady{take->slot, {}}}, effects_);
      } else if (const auto* sum = std::get_if<SumSlot>(&effects_[i]); sum != nullptr && !sums_wait_) {
        core_.step({now_ms_, lease_until_ms_, fence_left_ms_,
                    SlotSummed{sum->slot, std::vector<std::uint64_t>(sum->sections.size(), 7),
                               sum->base ? changed_ : std::nullopt}},
                   effects_);
      } else if (const auto* fill = std::get_if<FillSlot>(&effects_[i])) {
        core_.step({now_ms_, lease_until_ms_, fence_left_ms_,
                    SlotSummed{fill->slot, std::vector<std::uint64_t>(fill->sections.size(), 7)}},
                   effects_);
      }
    }
    for (const Remember& one : all<Remember>()) records_[one.key] = one.value;
  }
  void view(std::uint64_t number, const std::vector<std::uint32_t>& nodes) {
    ViewInstalled event{ViewNumber(number), {}, true, {}};
    for (const std::uint32_t node : nodes) event.members.push_back(member(node));
    step(event);
    view_ = number;
  }
  void ask(ClientMessage message, Incarnation sender = {}) {
    step(ClientRequest{kSession, kOwner, ++request_, sender, std::move(message)});
    answer_claims();
  }
  void later(std::uint64_t ms) {
    now_ms_ += ms;
    step(Tick{});
  }
  // The other members have not heard of the name.
  void answer_claims() {
    for (const Send& send : all<Send>())
      if (const auto* lookup = std::get_if<wire::KeepLookup>(&send.message)) {
        wire::KeepLookupAnswer answer;
        answer.view = ViewNumber(view_);
        answer.round = lookup->round;
        answer.key = lookup->key;
        answer.known = known_;
        answer.claimants_live = claimants_live_;
        answer.fence = known_fence_;
        step_keeping(PeerFrame{{send.to, Incarnation(1)}, answer});
      }
  }
  void copy_answer(const Member& from, std::uint64_t copy, wire::CopyResult result, std::uint64_t in_view = 0) {
    step(PeerFrame{from, wire::CopyAnswer{ViewNumber(in_view == 0 ? view_ : in_view), copy, result, "full"}});
  }

  template <class T>
  std::vector<T> all() const {
    std::vector<T> out;
    for (const Effect& effect : effects_)
      if (const auto* item = std::get_if<T>(&effect)) out.push_back(*item);
    return out;
  }
  template <class T>
  std::optional<T> answered() const {
    for (const Answer& answer : all<Answer>())
      if (const auto* message = std::get_if<T>(&answer.message)) return *message;
    return std::nullopt;
  }
  std::optional<std::pair<NodeId, wire::CopyOffer>> offered() const {
    for (const Send& send : all<Send>())
      if (const auto* offer = std::get_if<wire::CopyOffer>(&send.message)) return std::pair{send.to, *offer};
    return std::nullopt;
  }
  // Begins and commits a version; what came out of the commit is in effects_.
  void commit(const std::string& name, Incarnation sender = {},
              wire::CommitLevel level = wire::CommitLevel::kReplicated) {
    ask(wire::CheckpointBegin{name, {{"data", 100}}}, sender);
    const auto slot = answered<wire::CheckpointSlot>();
    ASSERT_TRUE(slot);
    ask(wire::CheckpointCommit{slot->slot, level, 1000}, sender);
  }
  // The same, acknowledged: its version and sum.
  wire::GroupPart commit_ok(const std::string& name) {
    commit(name);
    const auto offer = offered();
    EXPECT_TRUE(offer);
    copy_answer(member(1), offer->second.copy, wire::CopyResult::kComplete);
    const auto answer = answered<wire::CommitAnswer>();
    EXPECT_TRUE(answer && answer->result == wire::CommitResult::kOk);
    return {name, answer->version, answer->sum};
  }

  Keep core_;
  Effects effects_;
  std::map<Bytes, Bytes> records_;  // what the core remembers, if it does
  std::uint64_t now_ms_ = 1000;
  std::uint64_t lease_until_ms_ = UINT64_MAX;
  std::uint64_t fence_left_ms_ = 0;
  std::optional<PageRanges> changed_;  // what a version that is compared differs in
  bool sums_wait_ = false;             // of what a client wrote in place
  bool known_ = false;                 // the others have heard of every name before
  bool claimants_live_ = false;        // from members only
  Incarnation known_fence_;            // of every name
  std::uint64_t view_ = 0;
  std::uint64_t request_ = 0;

 private:
  void step_keeping(decltype(Event::body) body) {
    Effects before = std::move(effects_);
    step(std::move(body));
    before.insert(before.end(), effects_.begin(), effects_.end());
    effects_ = std::move(before);
  }
};

}  // namespace rk::keep
