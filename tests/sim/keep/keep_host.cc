// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/keep/keep_host.h"

#include <algorithm>

#include "base/check.h"
#include "base/checksum.h"
#include "wire/version_sum.h"

namespace rk::keep_sim {
namespace {

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
  if (std::holds_alternative<keep::Tick>(body))
    for (const auto& [slot, sections] : std::exchange(checking_, {}))
      events_.emplace_back(keep::SlotChecked{slot, sums(slots_.at(slot), sections)});
  events_.push_back(std::move(body));
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
  Bytes& bytes = slots_.at(at->second.slot);
  const keep::SlotId slot = at->second.slot;
  // Of another life's copy that had the same number.
  if (chunk.offset > bytes.size() || chunk.bytes.size() > bytes.size() - chunk.offset) {
    incoming_.erase(at);
    return feed(keep::CopyArrived{slot, false, {}});
  }
  std::copy(chunk.bytes.begin(), chunk.bytes.end(), bytes.begin() + static_cast<std::ptrdiff_t>(chunk.offset));
  at->second.offsets.insert(chunk.offset);
  if (at->second.offsets.size() * kChunkBytes < bytes.size()) return;
  auto all = sums(bytes, at->second.sections);
  incoming_.erase(at);
  feed(keep::CopyArrived{slot, true, std::move(all)});
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
  std::erase_if(incoming_, [&](const auto& item) { return item.second.slot == effect.slot; });
}

void KeepHost::carry(const keep::SumSlot& effect) {
  events_.emplace_back(keep::SlotSummed{effect.slot, sums(slots_.at(effect.slot), effect.sections)});
}

void KeepHost::carry(const keep::FillSlot& effect) {
  const std::vector<Bytes> sections = std::move(puts_.at(effect.request));
  puts_.erase(effect.request);
  Bytes& bytes = slots_.at(effect.slot);
  RK_CHECK(sections.size() == effect.sections.size());
  for (std::size_t i = 0; i < sections.size(); ++i)
    std::copy(sections[i].begin(), sections[i].end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(effect.sections[i].offset));
  events_.emplace_back(keep::SlotSummed{effect.slot, sums(bytes, effect.sections)});
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
    for (std::uint64_t offset = 0; offset < effect.bytes; offset += kChunkBytes) {
      const auto piece = ByteView(bytes).subspan(offset, std::min<std::uint64_t>(kChunkBytes, effect.bytes - offset));
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
  incoming_[{effect.from, effect.copy}] = {effect.slot, {}, effect.sections};
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
