// SPDX-License-Identifier: Apache-2.0
#include "ring/view.h"

namespace rk::ring {

std::optional<std::size_t> rank_of(const View& view, NodeId node) { return view.members.rank_of(node); }

const Member* find(const View& view, NodeId node) {
  const auto rank = rank_of(view, node);
  return rank ? &view.members[*rank] : nullptr;
}

bool contains(const View& view, const Member& member) {
  const Member* same_node = find(view, member.node);
  return same_node != nullptr && *same_node == member;
}

namespace {

// `steps` places behind the node in the ring.
std::optional<Member> neighbour(const View& view, NodeId node, std::size_t steps) {
  const std::size_t size = view.ring.size();
  const auto at = view.ring.rank_of(node);
  if (!at || size < 2) return std::nullopt;
  const Member* member = find(view, view.ring[(*at + steps) % size]);
  return member == nullptr ? std::nullopt : std::optional(*member);
}

}  // namespace

std::optional<Member> predecessor(const View& view, NodeId node) { return neighbour(view, node, view.ring.size() - 1); }

std::optional<Member> successor(const View& view, NodeId node) { return neighbour(view, node, 1); }

std::vector<Member> ring_of(const View& view) {
  std::vector<Member> out;
  for (const NodeId node : view.ring)
    if (const Member* member = find(view, node)) out.push_back(*member);
  return out;
}

bool is_quorum(const View& view, const std::function<bool(const Member&)>& votes) {
  std::size_t count = 0;
  for (const Member& member : view.members) count += votes(member) ? 1U : 0U;
  return is_quorum(view, count, !view.members.empty() && votes(view.members.front()));
}

bool is_quorum(const View& view, std::size_t votes, bool first_votes) {
  if (2 * votes > view.members.size()) return true;
  return view.number && !view.members.empty() && 2 * votes == view.members.size() && first_votes;
}

ViewNumber override_number(ViewNumber known, std::size_t place, std::size_t servers) {
  constexpr std::uint64_t kFirstNumbers = std::uint64_t{1} << (kGenerationShift - 1);
  return ViewNumber(((generation(known) + 1) << kGenerationShift) + place * (kFirstNumbers / servers));
}

std::string to_text(const View& view) {
  std::string text = "view " + std::to_string(view.number.value) + ":";
  for (const Member& member : view.members)
    text += " " + std::to_string(member.node.value) + "." + std::to_string(member.incarnation.value);
  std::vector<NodeId> ranks;
  for (const Member& member : view.members)
    if (member.node != view.witness) ranks.push_back(member.node);
  if (ranks != view.ring) {
    text += ", ring";
    for (const NodeId node : view.ring) text += " " + std::to_string(node.value);
  }
  return view.witness ? text + ", witness " + std::to_string(view.witness.value) : text;
}

std::string to_text(Ballot ballot) {
  return std::to_string(ballot.round) + (ballot.node ? "." + std::to_string(ballot.node.value) : "");
}

}  // namespace rk::ring
