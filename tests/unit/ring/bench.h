// SPDX-License-Identifier: Apache-2.0
// A few ring cores on one table: messages arrive at once and in order, durable writes complete at once, time advances
// by hand. What the unit tests of the ring count and cut. Faults by chance are the simulation's business.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ring/core.h"

namespace rk::ring {

class Bench {
 public:
  struct Server {
    std::unique_ptr<Core> core;
    Member self;
    Bytes durable;
    std::vector<View> installed;
    std::vector<Member> lost;
    std::vector<Wedged> wedged;
    int unwedged = 0;
    bool left = false;
    bool evicted = false;
    std::vector<std::string> override_refused;
    bool hold_writes = false;
    std::vector<std::uint64_t> writes_held;
  };

  explicit Bench(std::uint32_t servers) : roster_size_(servers) {}

  Config config(std::uint32_t node, std::uint64_t incarnation) const;
  void start(std::uint32_t node, std::uint64_t incarnation = 1) { start(config(node, incarnation)); }
  void start(const Config& config);
  void start_all();
  // Ends the life; `tell` makes the others see the broken link.
  void crash(std::uint32_t node, bool tell = true);
  void feed(std::uint32_t node, const Event& event);
  void leave(std::uint32_t node) { feed(node, Event{now_ms, LeaveRequest{}}); }
  void complete_writes(std::uint32_t node);
  // Delivers until no message is under way.
  void settle();
  void advance(std::uint64_t ms);
  // Advances in ticks until the condition holds; false if it does not within the time.
  bool until(const std::function<bool()>& condition, std::uint64_t within_ms = 20000);

  Server& operator[](std::uint32_t node) { return servers_.at(node); }
  Core& core(std::uint32_t node) { return *servers_.at(node).core; }
  // Do exactly these nodes serve, all in the same view, in this order?
  bool agree(const std::vector<std::uint32_t>& nodes);

  // The messages of rounds since the last clear(), in the order of sending: "1>2 PROPOSE 3".
  std::vector<std::string> agreement;
  std::map<std::string, int> sent;  // all messages, by name
  void clear() {
    agreement.clear();
    sent.clear();
  }
  std::set<std::pair<std::uint32_t, std::uint32_t>> cut;  // from, to
  // Messages for which this holds are lost.
  std::function<bool(std::uint32_t from, std::uint32_t to, const wire::RingMessage&)> lose;
  std::uint64_t now_ms = 1000;
  std::uint32_t witness = 0;  // of servers started from now on

 private:
  void carry_out(std::uint32_t node, Effects& effects);
  void note(std::uint32_t from, std::uint32_t to, const wire::RingMessage& message);

  struct Letter {
    Member from;
    std::uint32_t to;
    wire::RingMessage message;
  };
  std::uint32_t roster_size_;
  std::map<std::uint32_t, Server> servers_;
  std::deque<Letter> letters_;
};

// Of a message made by hand: it grants and holds nothing.
inline constexpr wire::RingLease kNoLease{0, 0, 0, 0, Timings{}.hold_ms};

}  // namespace rk::ring
