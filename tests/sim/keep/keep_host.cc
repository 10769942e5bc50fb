// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/keep/keep_host.h"

#include <algorithm>

#include "base/check.h"
#include "base/checksum.h"
#include "wire/version_sum.h"

namespace rk::keep_sim {
namespace {

keep::PageRanges all_of(std::uint64_t total) {
  return {{0, static_cast<std::uint32_t>((total + wire::kChangedPageBytes - 1) / wire::kChangedPageBytes)}};
}

// The event of a frame, if its type is one of the variant's.
template <class... Ts>
std::optional<std::variant<Ts...>> decode_any(const wire::Frame& frame, const std::variant<Ts...>*) {
  std::optional<std::variant<Ts...>> out;
  const auto attempt = [&]<class T>(T*) {
    if (frame.type != T::kType) return;
    auto message = wire::from_frame<T>(frame);
    RK_CHECK(message.has_value());
    out.emplace(*std::move(message));
  };
  (attempt(static_cast<Ts*>(nullptr)), ...);
  return out;
}

}  // namespace

KeepHost::KeepHost(const keep::Config& config, Ports ports, Checker& checker, Remains remains)
    : config_(config), ports_(std::move(ports)), checker_(checker), core_(config, prove(std::move(remains))) {}

// As the daemon does: what has not the checksums that it had is forgotten, slots that nothing speaks of go.
std::optional<keep::Memory> KeepHost::prove(Remains remains) {
  if (remains.records.empty()) return std::nullopt;
  auto memory = keep::read_memory({remains.records.begin(), remains.records.end()});
  RK_CHECK(memory.has_value());
  for (keep::RememberedEntry& entry : memory->entries) {
    std::vector<Version> damaged;
    for (const keep::RememberedVersion& version : entry.versions) {
      if (!version.slot) continue;
      const auto slot = remains.slots.find(version.slot);
      auto table = version.content.sections;
      const auto found = slot != remains.slots.end() && slot->second.size() == version.content.total
                             ? sums(slot->second, table)
                             : std::vector<std::uint64_t>();
      for (std::size_t i = 0; i < found.size(); ++i) table[i].sum = found[i];
      if (found.size() != table.size() || wire::version_sum(table) != version.content.sum)
        damaged.push_back(version.content.version);
      else
        slots_.insert(remains.slots.extract(slot));
    }
    for (const Version version : damaged) forget_version(entry, version);
  }
  records_ = std::move(remains.records);
  return *std::move(memory);
}

// What a step remembers comes first, and speaks of bytes that are there.
void KeepHost::check_remembered(const keep::Effects& effects) {
  const auto is_memory = [](const keep::Effect& effect) { return std::holds_alternative<keep::Remember>(effect); };
  if (!std::is_partitioned(effects.begin(), effects.end(), is_memory))
    checker_.violated("something left a server before it was remembered");
}

void KeepHost::feed(Body body) {
  if (const auto* view = std::get_if<keep::ViewInstalled>(&body); view != nullptr && view->number >= view_.number)
    view_ = *view;
  if (std::holds_alternative<keep::Tick>(body)) {
    for (const auto& [slot, sections] : std::exchange(checking_, {}))
      events_.emplace_back(keep::SlotChecked{slot, sums(slots_.at(slot), sections)});
    for (const auto& [slot, item] : std::exchange(summing_, {})) sum(slot, item);
  }
  events_.push_back(std::move(body));
  drain();
}

void KeepHost::drain() {
  if (running_) return;
  running_ = true;
  while (!events_.empty()) {
    const keep::Event event{ports_.now_ms(), ports_.lease_until_ms(), ports_.fence_left_ms(),
                            std::move(events_.front())};
    events_.pop_front();
    keep::Effects effects;
    const bool idle = core_.quiet() && !core_.scrub_due(event.now_ms) && std::holds_alternative<keep::Tick>(event.body);
    core_.step(event, effects);
    if (idle && !effects.empty()) checker_.violated("a keep that called itself quiet did something on a tick");
    check_remembered(effects);
    for (const keep::Effect& effect : effects) std::visit([this](const auto& item) { carry(item); }, effect);
  }
  running_ = false;
}

void KeepHost::frame(NodeId from, const wire::Frame& frame) {
  if (frame.type == wire::CopyChunk::kType) return chunk(from, *wire::from_frame<wire::CopyChunk>(frame));
  auto message = decode_any(frame, static_cast<const keep::PeerMessage*>(nullptr));
  RK_CHECK(message.has_value());
  feed(keep::PeerFrame{{from, frame.sender}, *std::move(message)});
}

void KeepHost::chunk(NodeId from, const wire::CopyChunk& chunk) {
  const auto at = incoming_.find({from, chunk.copy});
  if (at == incoming_.end()) return;
  Incoming& item = at->second;
  Bytes& bytes = slots_.at(item.slot);
  const keep::SlotId slot = item.slot;
  // Of another life's copy that had the same number.
  if (chunk.offset > item.bytes || chunk.bytes.size() > item.bytes - chunk.offset) {
    incoming_.erase(at);
    return feed(keep::CopyArrived{slot, false, {}});
  }
  keep::PageStream pages(item.base ? item.changed : all_of(bytes.size()), bytes.size());
  for (std::uint64_t before = chunk.offset; before > 0;) before -= pages.next(before).size;
  for (ByteView left = chunk.bytes; !left.empty();) {
    const auto piece = pages.next(left.size());
    std::copy_n(left.begin(), piece.size, bytes.begin() + static_cast<std::ptrdiff_t>(piece.offset));
    left = left.subspan(piece.size);
  }
  item.offsets.insert(chunk.offset);
  if (item.offsets.size() * kChunkBytes >= item.bytes) all_arrived(at);
}

// A copy over its base takes a while.
void KeepHost::all_arrived(std::map<std::pair<NodeId, std::uint64_t>, Incoming>::iterator at) {
  const Incoming item = std::move(at->second);
  incoming_.erase(at);
  Summing summing{item.sections, item.base, item.changed};
  if (item.base && item.slot.value % 2 == 0) {
    summing_[item.slot] = std::move(summing);
    return;
  }
  sum(item.slot, summing);
  drain();
}

void KeepHost::sum(keep::SlotId slot, const Summing& item) {
  Bytes& bytes = slots_.at(slot);
  if (!item.arrived) {
    events_.emplace_back(keep::SlotSummed{slot, sums(bytes, item.sections), compare(slot, item)});
    return;
  }
  if (item.base)
    for (const wire::SectionPlace& section : item.sections)
      keep::copy_unchanged(*item.arrived, slots_.at(item.base), bytes, section.offset, section.size);
  events_.emplace_back(keep::CopyArrived{slot, true, sums(bytes, item.sections)});
}

std::optional<keep::PageRanges> KeepHost::compare(keep::SlotId slot, const Summing& item) const {
  if (!item.base) return std::nullopt;
  const ByteView bytes = slots_.at(slot);
  const ByteView base = slots_.at(item.base);
  if (!keep::ChangedPages::worth_comparing(bytes, base)) return std::nullopt;
  keep::ChangedPages pages(bytes.size());
  for (const wire::SectionPlace& section : item.sections)
    pages.compare(section.offset, bytes.subspan(section.offset, section.size),
                  base.subspan(section.offset, section.size));
  return pages.ranges();
}

// What is compared with or copied from stays until that is done.
void KeepHost::check_no_base(keep::SlotId slot) const {
  const auto rests_on_it = [&](const auto& item) { return item.second.base == slot; };
  if (std::any_of(incoming_.begin(), incoming_.end(), rests_on_it) ||
      std::any_of(summing_.begin(), summing_.end(), rests_on_it))
    checker_.violated("a base was freed while a delta against it was under way");
}

std::vector<std::uint64_t> KeepHost::sums(const Bytes& bytes, const std::vector<wire::SectionPlace>& sections) {
  std::vector<std::uint64_t> out;
  for (const wire::SectionPlace& section : sections)
    out.push_back(checksum(ByteView(bytes).subspan(section.offset, section.size)));
  return out;
}

void KeepHost::carry(const keep::Remember& effect) {
  if (effect.value.empty())
    records_.erase(effect.key);
  else
    records_[effect.key] = effect.value;
}

void KeepHost::carry(const keep::Send& effect) {
  if (const auto* offer = std::get_if<wire::CopyOffer>(&effect.message))
    checker_.content(offer->key, offer->content.version, offer->content.sum, "in an offer");
  std::visit(
      [&](const auto& message) {
        ports_.send(effect.to, wire::encode_frame(wire::to_frame(message, 0, config_.self.incarnation)));
      },
      effect.message);
}

void KeepHost::carry(const keep::TakeSlot& effect) {
  if (ports_.refuse_memory()) {
    events_.emplace_back(keep::SlotReady{effect.slot, fail(ErrorCode::kNoMemory, "no memory in the simulation")});
    return;
  }
  RK_CHECK(slots_.emplace(effect.slot, Bytes(effect.bytes)).second);
  events_.emplace_back(keep::SlotReady{effect.slot, {}});
}

void KeepHost::carry(const keep::FreeSlot& effect) {
  slots_.erase(effect.slot);
  spoilt_.erase(effect.slot);
  checking_.erase(effect.slot);
  summing_.erase(effect.slot);
  std::erase_if(incoming_, [&](const auto& item) { return item.second.slot == effect.slot; });
  check_no_base(effect.slot);
}

void KeepHost::carry(const keep::SumSlot& effect) {
  Summing item{effect.sections, effect.base, {}};
  if (effect.base && effect.slot.value % 2 == 0)
    summing_[effect.slot] = std::move(item);
  else
    sum(effect.slot, item);
}

void KeepHost::carry(const keep::FillSlot& effect) {
  const std::vector<Bytes> sections = std::move(puts_.at(effect.request));
  puts_.erase(effect.request);
  Bytes& bytes = slots_.at(effect.slot);
  RK_CHECK(sections.size() == effect.sections.size());
  for (std::size_t i = 0; i < sections.size(); ++i)
    std::copy(sections[i].begin(), sections[i].end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(effect.sections[i].offset));
  sum(effect.slot, {effect.sections, effect.base, {}});
}

void KeepHost::carry(const keep::CheckSlot& effect) {
  RK_CHECK(slots_.contains(effect.slot));
  checking_[effect.slot] = effect.sections;
}

void KeepHost::carry(const keep::CopyNews& effect) {
  using Kind = keep::CopyNews::Kind;
  if (effect.kind == Kind::kDamaged) known_damaged_.insert({effect.key, effect.version});
  if (effect.kind == Kind::kRepaired) known_damaged_.erase({effect.key, effect.version});
  if (ports_.news) ports_.news(effect);
}

void KeepHost::carry(const keep::SendCopy& effect) {
  if ((effect.copy & wire::kFetchBit) == 0) streams_.insert({effect.to, effect.copy});
  if (effect.bytes > 0) {
    const Bytes& bytes = slots_.at(effect.slot);
    RK_CHECK(bytes.size() == effect.bytes);
    keep::PageStream pages(effect.changed ? *effect.changed : all_of(effect.bytes), effect.bytes);
    Bytes stream;
    while (pages.left() > 0) {
      const auto [offset, size] = pages.next(pages.left());
      const ByteView page = ByteView(bytes).subspan(offset, size);
      stream.insert(stream.end(), page.begin(), page.end());
    }
    for (std::uint64_t offset = 0; offset < stream.size(); offset += kChunkBytes) {
      const auto piece = ByteView(stream).subspan(offset, std::min<std::uint64_t>(kChunkBytes, stream.size() - offset));
      const wire::CopyChunk chunk{effect.copy, offset, piece};
      ports_.send(effect.to, wire::encode_frame(wire::to_frame(chunk, 0, config_.self.incarnation)));
    }
  }
  const keep::CopySent sent{effect.to, effect.copy};
  if (ports_.when_sent)
    ports_.when_sent([this, sent] { feed(sent); });
  else
    events_.emplace_back(sent);
}

void KeepHost::carry(const keep::ReceiveCopy& effect) {
  std::erase_if(incoming_, [&](const auto& item) { return item.second.slot == effect.slot; });
  RK_CHECK(slots_.at(effect.slot).size() == effect.bytes);
  const std::uint64_t bytes = effect.base ? keep::bytes_in(effect.changed, effect.bytes) : effect.bytes;
  if (effect.base) RK_CHECK(slots_.at(effect.base).size() == effect.bytes);
  Incoming item{effect.slot, {}, effect.sections, bytes, effect.base, effect.changed};
  const auto at = incoming_.insert_or_assign({effect.from, effect.copy}, std::move(item)).first;
  if (bytes == 0) all_arrived(at);
}

void KeepHost::carry(const keep::StopCopy& effect) {
  incoming_.erase({effect.peer, effect.copy});
  streams_.erase({effect.peer, effect.copy});
  if (ports_.stop_sending) ports_.stop_sending(effect.peer, effect.copy);
}

void KeepHost::carry(const keep::Answer& effect) {
  puts_.erase(effect.request);
  ports_.answer(effect);
}

bool KeepHost::streams_to(const KeepHost& to) const {
  return std::any_of(to.incoming_.begin(), to.incoming_.end(), [&](const auto& item) {
    const auto& [from, copy] = item.first;
    return from == config_.self.node && in_view(to.self()) && streams_.contains({to.self().node, copy});
  });
}

bool KeepHost::in_view(const keep::Member& member) const {
  return std::find(view_.members.begin(), view_.members.end(), member) != view_.members.end();
}

std::optional<keep::Member> KeepHost::predecessor() const {
  const auto self = std::find(view_.members.begin(), view_.members.end(), config_.self);
  if (self == view_.members.end() || view_.members.size() < 2) return std::nullopt;
  return self == view_.members.begin() ? view_.members.back() : *(self - 1);
}

Version KeepHost::holds(const wire::KeepKey& key, Version least) const {
  const keep::Entry* entry = core_.catalogue().find(key);
  if (entry == nullptr) return {};
  for (auto at = entry->versions.rbegin(); at != entry->versions.rend(); ++at)
    if (at->second.here && (at->first == least || (at->first > least && at->second.committed))) return at->first;
  return {};
}

bool KeepHost::has(const wire::KeepKey& key, Version version) const {
  const keep::Entry* entry = core_.catalogue().find(key);
  if (entry == nullptr) return false;
  const auto record = entry->versions.find(version);
  return record != entry->versions.end() && record->second.here;
}

bool KeepHost::spoil(const wire::KeepKey& key, Version version, Prng& prng) {
  const keep::Entry* entry = core_.catalogue().find(key);
  const auto record = entry != nullptr ? entry->versions.find(version) : decltype(entry->versions.end())();
  if (entry == nullptr || record == entry->versions.end() || !record->second.here || !record->second.slot) return false;
  // Between the sections it would be no damage.
  std::vector<wire::SectionPlace> places = record->second.content.sections;
  std::erase_if(places, [](const wire::SectionPlace& place) { return place.size == 0; });
  if (places.empty()) return false;
  const wire::SectionPlace& place = places[prng.below(places.size())];
  Bytes& bytes = slots_.at(record->second.slot);
  bytes[place.offset + prng.below(place.size)] ^= static_cast<std::byte>(prng.between(1, 255));
  spoilt_.insert(record->second.slot);
  return true;
}

void KeepHost::look_at(NodeId from, const wire::KeepKey& key, Version version) {
  const auto sender = std::find_if(view_.members.begin(), view_.members.end(),
                                   [&](const keep::Member& member) { return member.node == from; });
  if (sender == view_.members.end() || !has(key, version)) return;
  const keep::SlotId slot = core_.catalogue().find(key)->versions.at(version).slot;
  feed(keep::PeerFrame{*sender, wire::KeepSuspect{view_.number, key, version}});
  if (const auto checked = checking_.extract(slot))
    feed(keep::SlotChecked{slot, sums(slots_.at(slot), checked.mapped())});
}

void KeepHost::check_memory(bool spoilt) const {
  for (const auto& [key, entry] : core_.catalogue().entries()) {
    for (const auto& [version, record] : entry.versions) {
      if (!record.here) continue;
      const std::string where = "at server " + std::to_string(config_.self.node.value);
      checker_.content(key, version, record.content.sum, where);
      if (record.content.total == 0 || (!spoilt && spoilt_.contains(record.slot))) continue;
      auto table = record.content.sections;
      const auto found = sums(slots_.at(record.slot), table);
      for (std::size_t i = 0; i < table.size(); ++i) table[i].sum = found[i];
      if (wire::version_sum(table) != record.content.sum)
        checker_.violated("the copy of version " + std::to_string(version.value) + " of " + key.name + " " + where +
                          " does not have its bytes");
    }
  }
}

}  // namespace rk::keep_sim
