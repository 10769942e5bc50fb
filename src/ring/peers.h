// SPDX-License-Identifier: Apache-2.0
// What a core knows of the other servers of the roster. An entry is made when it is first asked for: a member of a
// large ring hears its leader and its neighbours and nobody else, and must not pay for all of them. Until then it is as
// an entry that was watched since watch_all(), of the life that the newest view names, and never heard.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "ring/config.h"
#include "ring/view.h"

namespace rk::ring {

template <class Peer>
class Peers {
 public:
  using Map = std::map<NodeId, Peer>;

  // `roster` lists the servers, this one among them.
  void set_roster(wire::NodeList<RosterEntry> roster, NodeId self) {
    roster_ = std::move(roster);
    self_ = self;
  }
  // For entries to come, as the loop over those that are there does for them.
  void set_view(const View& view) { view_ = view; }
  void watch_all(std::uint64_t now_ms) { watched_ms_ = now_ms; }

  // end() for this server itself and for one that is not in the roster.
  typename Map::iterator find(NodeId node) { return find_or_make(node); }
  typename Map::const_iterator find(NodeId node) const { return find_or_make(node); }
  // Of a server of the roster.
  Peer& operator[](NodeId node) { return find(node)->second; }
  const Peer& at(NodeId node) const { return find(node)->second; }

  // The entries that were ever asked for.
  auto begin() { return map_.begin(); }
  auto end() { return map_.end(); }
  auto begin() const { return map_.cbegin(); }
  auto end() const { return map_.cend(); }
  // Servers of the roster other than this one.
  std::size_t others() const { return roster_.size() - 1; }

 private:
  typename Map::iterator find_or_make(NodeId node) const {
    const auto known = map_.find(node);
    if (known != map_.end() || node == self_ || !roster_.rank_of(node)) return known;
    Peer peer;
    peer.heard_ms = watched_ms_;
    for (const auto* list : {&view_.members, &view_.retired})
      if (const auto rank = list->rank_of(node)) peer.incarnation = (*list)[*rank].incarnation;
    return map_.emplace(node, std::move(peer)).first;
  }

  mutable Map map_;  // asking makes an entry, and changes nothing
  wire::NodeList<RosterEntry> roster_;
  NodeId self_;
  View view_;
  std::uint64_t watched_ms_ = 0;
};

}  // namespace rk::ring
