// SPDX-License-Identifier: Apache-2.0
// A list of entries that each name a node or are one, like the members of a view. A copy shares the entries until one
// of the two is changed, so that views travel through events, effects and states without being copied, and an entry is
// found by its node in logarithmic time: a ring may have thousands of members, and each step of its core asks for some
// of them. Copies may be read by several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace rk::wire {

inline NodeId node_of(NodeId entry) { return entry; }
template <class Entry>
NodeId node_of(const Entry& entry) {
  return entry.node;
}

template <class Entry>
class NodeList {
 public:
  using value_type = Entry;
  using Entries = std::vector<Entry>;
  using const_iterator = typename Entries::const_iterator;
  using iterator = const_iterator;  // changed only through edit()

  NodeList() = default;
  NodeList(std::initializer_list<Entry> entries) : NodeList(Entries(entries)) {}
  NodeList(Entries entries)  // NOLINT(google-explicit-constructor): a list is made from what it is
      : block_(entries.empty() ? nullptr : std::make_shared<Block>(std::move(entries))) {}

  const Entries& entries() const { return block_ ? block_->entries : none(); }
  std::size_t size() const { return entries().size(); }
  bool empty() const { return entries().empty(); }
  const Entry& operator[](std::size_t at) const { return entries()[at]; }
  const Entry& front() const { return entries().front(); }
  const Entry& back() const { return entries().back(); }
  const_iterator begin() const { return entries().begin(); }
  const_iterator end() const { return entries().end(); }
  auto rbegin() const { return entries().rbegin(); }
  auto rend() const { return entries().rend(); }

  // Position of the first entry of that node; nullopt if there is none.
  std::optional<std::size_t> rank_of(NodeId node) const {
    if (!block_) return std::nullopt;
    const Entries& all = block_->entries;
    if (all.size() <= kScanned) {
      const auto at = std::find_if(all.begin(), all.end(), [&](const Entry& entry) { return node_of(entry) == node; });
      return at == all.end() ? std::nullopt : std::optional<std::size_t>(at - all.begin());
    }
    const Index& index = block_->index();
    const auto at = std::lower_bound(index.begin(), index.end(), std::pair(node, std::uint32_t{0}));
    return at == index.end() || at->first != node ? std::nullopt : std::optional<std::size_t>(at->second);
  }

  void push_back(Entry entry) { edit().push_back(std::move(entry)); }
  void clear() { block_.reset(); }
  // To change the entries; other copies keep theirs. Valid until this list is copied or read.
  Entries& edit() {
    if (!block_)
      block_ = std::make_shared<Block>(Entries());
    else if (block_.use_count() > 1)
      block_ = std::make_shared<Block>(block_->entries);
    block_->forget_index();
    return block_->entries;
  }

  bool operator==(const NodeList& other) const { return block_ == other.block_ || entries() == other.entries(); }

 private:
  static constexpr std::size_t kScanned = 32;  // up to here a scan is as fast as a search
  using Index = std::vector<std::pair<NodeId, std::uint32_t>>;

  struct Block {
    explicit Block(Entries given) : entries(std::move(given)) {}
    ~Block() { forget_index(); }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;

    // Made by the first who asks; if two do at once, one of them throws its own away.
    const Index& index() const {
      const Index* made = made_.load(std::memory_order_acquire);
      if (made != nullptr) return *made;
      auto fresh = std::make_unique<Index>();
      fresh->reserve(entries.size());
      for (std::size_t rank = 0; rank < entries.size(); ++rank)
        fresh->emplace_back(node_of(entries[rank]), static_cast<std::uint32_t>(rank));
      std::sort(fresh->begin(), fresh->end());
      if (made_.compare_exchange_strong(made, fresh.get(), std::memory_order_acq_rel)) return *fresh.release();
      return *made;
    }
    void forget_index() { delete made_.exchange(nullptr); }

    Entries entries;

   private:
    mutable std::atomic<const Index*> made_{nullptr};
  };

  static const Entries& none() {
    static const Entries entries;
    return entries;
  }

  std::shared_ptr<Block> block_;
};

}  // namespace rk::wire
