// SPDX-License-Identifier: Apache-2.0
#include "ring/placement.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <set>

#include "base/check.h"

namespace rk::ring {
namespace {

struct Seat {
  NodeId node;
  std::string rack;  // empty: none
  NodeId kept_by;    // its predecessor in the ring before, where its second copies are; 0: none that stays
};

// Is the second the successor of the first, and of its rack?
bool clash(const Seat& a, const Seat& b) { return a.node != b.node && !a.rack.empty() && a.rack == b.rack; }

// Copies to be made if `keeper` is before that seat.
int price(const Seat& keeper, const Seat& seat) { return seat.kept_by && seat.kept_by != keeper.node ? 1 : 0; }

// What a change does to pairs of one rack and to copies; the lower the better, pairs first.
struct Effect {
  int pairs = 0;
  int copies = 0;
  auto operator<=>(const Effect&) const = default;  // NOLINT(modernize-use-nullptr): a false alarm
};

Effect beside(const Seat& a, const Seat& b) { return {clash(a, b) ? 1 : 0, price(a, b)}; }
Effect operator+(Effect a, Effect b) { return {a.pairs + b.pairs, a.copies + b.copies}; }
Effect operator-(Effect a, Effect b) { return {a.pairs - b.pairs, a.copies - b.copies}; }

class Seats {
 public:
  void append(Seat seat) { seats_.push_back(std::move(seat)); }

  void insert(Seat seat) {
    if (seats_.empty()) return append(std::move(seat));
    std::size_t best = 0;
    std::optional<Effect> least;
    // From the end: there it is put if nothing speaks for another place.
    for (std::size_t gap = seats_.size(); gap > 0; --gap) {
      const Effect effect = between(seat, gap - 1, gap % seats_.size());
      if (least && *least <= effect) continue;
      least = effect;
      best = gap;
    }
    seats_.insert(seats_.begin() + static_cast<std::ptrdiff_t>(best), std::move(seat));
  }

  // Moves servers until no order has fewer pairs of one rack. As long as one has, one of a pair can be moved between
  // two servers that are not of its rack: if no rack had such a place, the ring would alternate.
  void mend() {
    while (pairs() > unavoidable()) RK_CHECK(move_one());
  }

  std::vector<NodeId> from(NodeId first) {
    const auto at = std::find_if(seats_.begin(), seats_.end(), [&](const Seat& seat) { return seat.node == first; });
    if (at != seats_.end()) std::rotate(seats_.begin(), at, seats_.end());
    std::vector<NodeId> out;
    out.reserve(seats_.size());
    for (const Seat& seat : seats_) out.push_back(seat.node);
    return out;
  }

  std::size_t pairs() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < seats_.size(); ++i) count += clash(before(i), seats_[i]) ? 1U : 0U;
    return count;
  }

  std::size_t unavoidable() const {
    if (seats_.size() < 2) return 0;
    std::map<std::string, std::size_t> counts;
    std::size_t most = 0;
    for (const Seat& seat : seats_)
      if (!seat.rack.empty()) most = std::max(most, ++counts[seat.rack]);
    return 2 * most - std::min(2 * most, seats_.size());
  }

 private:
  const Seat& before(std::size_t i) const { return seats_[(i + seats_.size() - 1) % seats_.size()]; }
  const Seat& after(std::size_t i) const { return seats_[(i + 1) % seats_.size()]; }

  Effect between(const Seat& seat, std::size_t left, std::size_t right) const {
    return beside(seats_[left], seat) + beside(seat, seats_[right]) - beside(seats_[left], seats_[right]);
  }

  // The best move of a server of the first pair that can be mended.
  bool move_one() {
    for (std::size_t i = 0; i < seats_.size(); ++i) {
      if (!clash(before(i), seats_[i])) continue;
      const std::size_t other = (i + seats_.size() - 1) % seats_.size();
      const Move first = best_move(i);
      const Move second = best_move(other);
      const bool take_second = second.effect < first.effect;
      const Move& move = take_second ? second : first;
      if (move.effect.pairs >= 0) continue;
      carry_out(take_second ? other : i, move.gap);
      return true;
    }
    return false;
  }

  struct Move {
    Effect effect;
    std::size_t gap = 0;  // before the seat of that number
  };
  Move best_move(std::size_t from) const {
    const Seat& seat = seats_[from];
    const Effect gone = beside(before(from), after(from)) - beside(before(from), seat) - beside(seat, after(from));
    Move best;
    for (std::size_t gap = 0; gap < seats_.size(); ++gap) {
      const std::size_t left = (gap + seats_.size() - 1) % seats_.size();
      if (gap == from || left == from) continue;
      const Effect effect = gone + between(seat, left, gap);
      if (effect < best.effect) best = {effect, gap};
    }
    return best;
  }

  void carry_out(std::size_t from, std::size_t gap) {
    const auto at = [&](std::size_t i) { return seats_.begin() + static_cast<std::ptrdiff_t>(i); };
    if (gap > from)
      std::rotate(at(from), at(from + 1), at(gap));
    else
      std::rotate(at(gap), at(from), at(from + 1));
  }

  std::vector<Seat> seats_;
};

Seat seat_of(NodeId node, const Racks& racks) {
  const auto rack = racks.find(node);
  return {node, rack == racks.end() ? "" : rack->second, NodeId()};
}

Seats seats_of(const std::vector<NodeId>& ring, const Racks& racks) {
  Seats seats;
  for (const NodeId node : ring) seats.append(seat_of(node, racks));
  return seats;
}

}  // namespace

std::vector<NodeId> place(const std::vector<NodeId>& before, const std::vector<NodeId>& nodes, const Racks& racks) {
  if (nodes.empty() || (before.empty() && racks.empty())) return nodes;
  const std::set<NodeId> wanted(nodes.begin(), nodes.end());
  std::set<NodeId> seated;
  Seats seats;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (!wanted.contains(before[i])) continue;
    Seat seat = seat_of(before[i], racks);
    const NodeId keeper = before[(i + before.size() - 1) % before.size()];
    if (keeper != before[i] && wanted.contains(keeper)) seat.kept_by = keeper;
    seats.append(std::move(seat));
    seated.insert(before[i]);
  }
  for (const NodeId node : nodes)
    if (!seated.contains(node)) seats.insert(seat_of(node, racks));
  seats.mend();
  return seats.from(nodes.front());
}

void arrange(View& view, const std::vector<NodeId>& before, const Racks& racks, NodeId witness) {
  const auto is_witness = [&](const Member& member) { return member.node == witness; };
  auto& members = view.members.edit();
  const auto first = std::stable_partition(members.begin(), members.end(), std::not_fn(is_witness));
  view.witness = first == members.end() ? NodeId() : witness;
  std::vector<NodeId> nodes;
  std::transform(members.begin(), first, std::back_inserter(nodes), [](const Member& one) { return one.node; });
  view.ring = place(before, nodes, racks);
}

std::size_t pairs_of_one_rack(const std::vector<NodeId>& ring, const Racks& racks) {
  return seats_of(ring, racks).pairs();
}

std::size_t unavoidable_pairs(const std::vector<NodeId>& ring, const Racks& racks) {
  return seats_of(ring, racks).unavoidable();
}

}  // namespace rk::ring
