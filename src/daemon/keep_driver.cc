// SPDX-License-Identifier: Apache-2.0
#include "daemon/keep_driver.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/check.h"

namespace rk::daemon {
namespace {

// Bytes that wait on one link before the stream pauses until the link has taken some: few, so that they are in the
// processor's cache still when the socket takes them.
constexpr std::size_t kStreamWindowBytes = std::size_t{1} << 20U;
// Of puts that wait for a claim, a lease or memory, of all clients.
constexpr std::size_t kMaxWaitingPutBytes = std::size_t{64} << 20U;
// Summed in one go: less than 1 ms, in which nothing else happens.
constexpr std::uint64_t kSumPieceBytes = std::uint64_t{4} << 20U;

// Decodes a frame into the variant if its type is T's; no frame is a keep::Put (KeepDriver::put).
template <class T, class Variant>
bool decode_as(const wire::Frame& frame, std::optional<Variant>& out, Status& status) {
  if constexpr (!std::is_same_v<T, keep::Put>) {
    if (frame.type != T::kType) return false;
    auto message = wire::from_frame<T>(frame);
    if (message) {
      out.emplace(std::in_place_type<T>, *std::move(message));
    } else {
      status = tl::unexpected(message.error());
    }
    return true;
  }
  return false;
}

template <class Variant>
struct Decoder;
template <class... Ts>
struct Decoder<std::variant<Ts...>> {
  using Variant = std::variant<Ts...>;
  static Result<Variant> decode(const wire::Frame& frame) {
    std::optional<Variant> out;
    Status status;
    if (!(decode_as<Ts>(frame, out, status) || ...))
      return fail(ErrorCode::kCorrupt, "message type " + std::to_string(static_cast<std::uint32_t>(frame.type)) +
                                           " is no message of the keep in this direction");
    if (!status) return tl::unexpected(status.error());
    return *std::move(out);
  }
};

}  // namespace

KeepDriver::KeepDriver(const keep::Config& config, ClientPort& clients, PeerPort& peers, shm::MemoryBudget& budget,
                       std::function<LeaveToAct()> leave_to_act, std::function<void(wire::ServerEvent)> tell,
                       std::function<void()> put_off, std::unique_ptr<KeptMemory> kept, KeptMemory::Returned returned)
    : kept_(std::move(kept)),
      core_(config, std::move(returned.memory)),
      tell_(tell),
      copy_watch_(std::move(tell)),
      clients_(clients),
      peers_(peers),
      budget_(budget),
      leave_to_act_(std::move(leave_to_act)),
      put_off_(std::move(put_off)) {
  for (KeptMemory::Slot& item : returned.slots) {
    Slot& slot = slots_[item.slot];
    slot.owner = item.owner;
    slot.bytes = item.bytes;
    slot.file = std::move(item.file);
    slot.mapping = std::move(item.mapping);
    slot.number = item.number;
    slot.left_mapped = true;
    ++in_use_[{slot.owner, slot.file.size(), slot.writable}];
  }
}

void KeepDriver::feed(Body body) {
  events_.push_back(std::move(body));
  drain();
}

// Effects give events (memory is there, checksums are known), which the core gets before anything else happens.
void KeepDriver::drain() {
  if (draining_) return;
  draining_ = true;
  while (!events_.empty()) {
    const LeaveToAct leave = leave_to_act_();
    keep::Event event{now_ms_, leave.lease_until_ms, leave.fence_left_ms, std::move(events_.front())};
    events_.pop_front();
    keep::Effects effects;
    core_.step(event, effects);
    for (keep::Effect& effect : effects) std::visit([this](auto& item) { carry(item); }, effect);
  }
  draining_ = false;
}

Status KeepDriver::on_request(const ClientIdentity& client, const wire::Frame& frame) {
  if (frame.type == wire::CheckpointRelease::kType) return release(client, frame);
  if (frame.type == wire::CheckpointPut::kType) return put(client, frame);
  RK_TRY(auto message, Decoder<keep::ClientMessage>::decode(frame));
  feed(keep::ClientRequest{keep::SessionId(client.session), client.owner, frame.request, frame.sender,
                           std::move(message)});
  pump();
  return {};
}

// The core decides on a put without its bytes.
Status KeepDriver::put(const ClientIdentity& client, const wire::Frame& frame) {
  RK_TRY(auto message, wire::from_frame<wire::CheckpointPut>(frame));
  keep::Put put{std::move(message.name), {}, message.level, message.timeout_ms};
  std::size_t bytes = 0;
  for (const wire::PutSection& section : message.sections) {
    put.sections.push_back({section.name, section.bytes.size()});
    bytes += section.bytes.size();
  }
  const auto refuse = [&](ErrorCode code, const std::string& why) {
    clients_.refuse(client.session, frame.request, Error{code, why});
    return Status();
  };
  if (bytes > wire::kMaxPutBytes)
    return refuse(ErrorCode::kInvalidArgument, "a put has " + std::to_string(bytes) + " bytes, and " +
                                                   std::to_string(wire::kMaxPutBytes) +
                                                   " is the limit: begin a checkpoint and write it in place");
  if (bytes > kMaxWaitingPutBytes - put_bytes_)
    return refuse(ErrorCode::kNoMemory,
                  std::to_string(put_bytes_) + " bytes of puts wait at this server already: try again later");
  const PutKey key{client.session, frame.request};
  if (!puts_.emplace(key, WaitingPut{{}, std::move(message.sections), bytes}).second)
    return fail(ErrorCode::kCorrupt, "two puts have the same request number: use a client of this release");
  put_bytes_ += bytes;
  feed(keep::ClientRequest{keep::SessionId(client.session), client.owner, frame.request, frame.sender, std::move(put)});
  if (const auto at = puts_.find(key); at != puts_.end()) at->second.own(frame.payload);
  pump();
  return {};
}

// It waits, and outlives its frame.
void KeepDriver::WaitingPut::own(const Bytes& frame) {
  payload = frame;
  for (wire::PutSection& section : sections)
    if (!section.bytes.empty())
      section.bytes = ByteView(payload).subspan(static_cast<std::size_t>(section.bytes.data() - frame.data()),
                                                section.bytes.size());
}

// Empty: its client is gone.
KeepDriver::WaitingPut KeepDriver::take_put(const PutKey& key) {
  const auto at = puts_.find(key);
  if (at == puts_.end()) return {};
  WaitingPut put = std::move(at->second);
  puts_.erase(at);
  put_bytes_ -= put.bytes;
  return put;
}

Status KeepDriver::release(const ClientIdentity& client, const wire::Frame& frame) {
  RK_TRY(const auto message, wire::from_frame<wire::CheckpointRelease>(frame));
  const keep::SlotId slot(message.slot);
  if (const auto open = opened_.find(client.session); open == opened_.end() || !open->second.contains(slot)) {
    clients_.refuse(client.session, frame.request,
                    Error{ErrorCode::kNotFound, "this connection has no such version open"});
    return {};
  }
  unpin(client.session, slot);
  clients_.answer(client.session, frame.request, wire::Done{});
  return {};
}

void KeepDriver::on_session_closed(std::uint64_t session) {
  if (const auto open = opened_.find(session); open != opened_.end()) {
    const std::set<keep::SlotId> slots = std::move(open->second);
    opened_.erase(open);
    for (const keep::SlotId slot : slots) {
      slots_.at(slot).pinned.erase(session);
      slots_.at(slot).left_mapped = true;
      drop_if_unused(slot);
    }
  }
  for (auto at = puts_.lower_bound({session, 0}); at != puts_.end() && at->first.first == session;)
    take_put((at++)->first);
  feed(keep::ClientGone{keep::SessionId(session)});
}

Status KeepDriver::on_peer_frame(NodeId from, Incarnation incarnation, const wire::Frame& frame) {
  if (frame.type == wire::CopyChunk::kType) return on_chunk(from, frame);
  RK_TRY(auto message, Decoder<keep::PeerMessage>::decode(frame));
  feed(keep::PeerFrame{{from, incarnation}, std::move(message)});
  pump();
  return {};
}

void KeepDriver::on_peer_down(NodeId peer) {
  std::erase_if(outgoing_, [&](const Outgoing& item) { return item.to == peer; });
  std::erase_if(incoming_, [&](const auto& item) { return item.first.first == peer; });
  feed(keep::PeerDown{peer});
}

void KeepDriver::on_ring(const RingState& ring) {
  keep::ViewInstalled view{ring.view, {}, ring.serving, ring.reason, {ring.succeeded.node, ring.succeeded.incarnation}};
  for (const RingMember& member : ring.members) view.members.push_back({member.node, member.incarnation});
  feed(std::move(view));
  copy_watch_.on_ring(ring, core_.catalogue(), now_ms_);
  pump();
}

void KeepDriver::on_tick(std::uint64_t now_ms) {
  now_ms_ = std::max(now_ms_, now_ms);
  if (now_ms_ < ticked_ms_ + kTickMs && ticked_ms_ != 0) return;
  const std::uint64_t elapsed_ms = now_ms_ - std::exchange(ticked_ms_, now_ms_);
  if (!core_.quiet() || core_.scrub_due(now_ms_)) feed(keep::Tick{});
  check_some(elapsed_ms);
  cool();
  pump();
  copy_watch_.on_tick(core_.catalogue(), now_ms_);
}

void KeepDriver::go_on() {
  going_on_ = false;
  sum_some();
  pump();
}

void KeepDriver::on_end() {
  if (kept_) kept_->end();
}

void KeepDriver::remove_prefix(OwnerId owner, std::string_view prefix) {
  feed(keep::PrefixRemoved{owner, std::string(prefix)});
}

// --- effects ---

void KeepDriver::carry(keep::Remember& effect) {
  if (kept_) kept_->remember(effect.key, effect.value);
}

void KeepDriver::carry(keep::Send& effect) {
  // Without a link the message is lost; the core asks again.
  std::visit(
      [&](const auto& message) {
        const wire::Frame frame = wire::to_frame(message);
        const bool sent = peers_.send(effect.to, frame);
        if (sent && frame.type == wire::CopyOffer::kType) sent_bytes_ += wire::kHeaderSize + frame.payload.size();
      },
      effect.message);
}

void KeepDriver::carry(keep::TakeSlot& effect) {
  auto memory = memory_for(effect.owner, effect.bytes, effect.writable);
  Status status;
  if (memory) {
    Slot& slot = slots_[effect.slot];
    slot.owner = effect.owner;
    slot.bytes = effect.bytes;
    slot.writable = effect.writable;
    slot.file = std::move(memory->file);
    slot.mapping = std::move(memory->mapping);
    slot.number = memory->number;
    ++in_use_[{slot.owner, slot.file.size(), slot.writable}];
    unused_since_.erase({slot.owner, slot.file.size(), slot.writable});
    if (kept_) kept_->place(effect.slot, slot.number);
  } else {
    status = tl::unexpected(memory.error());
  }
  events_.emplace_back(keep::SlotReady{effect.slot, std::move(status)});
}

void KeepDriver::carry(keep::FreeSlot& effect) {
  const auto at = slots_.find(effect.slot);
  if (at == slots_.end()) return;  // its memory was never there
  std::erase_if(outgoing_, [&](const Outgoing& item) { return item.slot == effect.slot; });
  std::erase_if(summing_, [&](const Summing& item) { return item.slot == effect.slot; });
  std::erase_if(checking_, [&](const Checking& item) { return item.sum.slot == effect.slot; });
  std::erase_if(incoming_, [&](const auto& item) { return item.second.slot == effect.slot; });
  at->second.freed = true;
  if (kept_) kept_->unplace(effect.slot);
  at->second.damaged = effect.damaged;
  drop_if_unused(effect.slot);
}

void KeepDriver::carry(keep::SumSlot& effect) {
  Summing item;
  item.slot = effect.slot;
  item.sections = std::move(effect.sections);
  item.base = effect.base;
  summing_.push_back(std::move(item));
  if (summing_.size() == 1) sum_some();
}

void KeepDriver::carry(keep::FillSlot& effect) {
  const WaitingPut put = take_put({effect.session.value, effect.request});
  const std::vector<wire::PutSection>& sections = put.sections;
  Slot& slot = slots_.at(effect.slot);
  keep::SlotSummed summed{effect.slot, {}};
  Summing compare;
  compare.slot = effect.slot;
  compare.base = effect.base;
  if (sections.size() == effect.sections.size() && map_slot(slot)) {
    for (std::size_t i = 0; i < sections.size(); ++i) {
      const ByteView bytes = sections[i].bytes;
      RK_CHECK(effect.sections[i].offset + bytes.size() <= slot.bytes);
      std::copy(bytes.begin(), bytes.end(),
                slot.mapping.writable().begin() + static_cast<std::ptrdiff_t>(effect.sections[i].offset));
      summed.sums.push_back(checksum(bytes));
    }
    if (begin_sum(compare) && compare.compared) {
      for (std::size_t i = 0; i < sections.size(); ++i)
        compare.compared->compare(
            effect.sections[i].offset, sections[i].bytes,
            slots_.at(effect.base).mapping.bytes().subspan(effect.sections[i].offset, sections[i].bytes.size()));
      summed.changed = compare.compared->ranges();
    }
  }
  events_.emplace_back(std::move(summed));
}

void KeepDriver::carry(keep::SendCopy& effect) {
  Outgoing outgoing{effect.to, effect.copy, effect.slot, 0, effect.bytes, {}, {}};
  if (effect.changed) {
    outgoing.pages.emplace(*std::move(effect.changed), effect.bytes);
    outgoing.bytes = outgoing.pages->left();
  }
  outgoing_.push_back(std::move(outgoing));
}

void KeepDriver::carry(keep::ReceiveCopy& effect) {
  Slot& slot = slots_.at(effect.slot);
  if (const Status mapped = map_slot(slot); !mapped) {
    events_.emplace_back(keep::CopyArrived{effect.slot, false, {}});
    return;
  }
  std::erase_if(incoming_, [&](const auto& item) { return item.second.slot == effect.slot; });
  Incoming item{effect.slot, 0, effect.bytes, std::move(effect.sections), effect.base, {}, {}};
  if (effect.base) {
    item.pages.emplace(effect.changed, effect.bytes);
    item.bytes = item.pages->left();
    item.changed = std::move(effect.changed);
  }
  const auto at = incoming_.insert_or_assign({effect.from, effect.copy}, std::move(item)).first;
  if (at->second.bytes == 0) all_arrived(at);
}

void KeepDriver::carry(keep::StopCopy& effect) {
  std::erase_if(outgoing_, [&](const Outgoing& item) { return item.to == effect.peer && item.copy == effect.copy; });
  incoming_.erase({effect.peer, effect.copy});
}

void KeepDriver::carry(keep::Answer& effect) {
  if (!puts_.empty()) take_put({effect.session.value, effect.request});
  auto descriptors = descriptors_for(effect);
  if (!descriptors) {
    clients_.refuse(effect.session.value, effect.request, descriptors.error());
    return;
  }
  std::vector<int> numbers;
  for (const shm::Descriptor& descriptor : *descriptors) numbers.push_back(descriptor.get());
  std::visit([&](const auto& message) { clients_.answer(effect.session.value, effect.request, message, numbers); },
             effect.message);
}

// What travels with the answer; pins the slot for a reader.
Result<std::vector<shm::Descriptor>> KeepDriver::descriptors_for(keep::Answer& effect) {
  std::vector<shm::Descriptor> out;
  if (effect.access == keep::SlotAccess::kNone) return out;
  Slot& slot = slots_.at(effect.slot);
  if (effect.access == keep::SlotAccess::kWritable) {
    RK_TRY(shm::Descriptor copy, shm::duplicate(slot.file.descriptor()));
    out.push_back(std::move(copy));
    return out;
  }
  RK_TRY(shm::Descriptor copy, slot.file.open_read_only());
  out.push_back(std::move(copy));
  const std::uint64_t session = effect.session.value;
  ++slot.pinned[session];
  opened_[session].insert(effect.slot);
  if (auto* content = std::get_if<wire::CheckpointContent>(&effect.message)) content->slot = effect.slot.value;
  return out;
}

// --- streams and checksums ---

Status KeepDriver::on_chunk(NodeId from, const wire::Frame& frame) {
  RK_TRY(const auto chunk, wire::from_frame<wire::CopyChunk>(frame));
  const auto at = incoming_.find({from, chunk.copy});
  if (at == incoming_.end()) return {};  // given up meanwhile
  Incoming& item = at->second;
  const bool fits =
      chunk.offset == item.offset && !chunk.bytes.empty() && chunk.bytes.size() <= item.bytes - item.offset;
  if (!fits) {
    const keep::SlotId slot = item.slot;
    incoming_.erase(at);
    feed(keep::CopyArrived{slot, false, {}});
    return {};
  }
  std::byte* const data = slots_.at(item.slot).mapping.writable().data();
  for (ByteView left = chunk.bytes; !left.empty();) {
    const keep::PageStream::Piece piece =
        item.pages ? item.pages->next(left.size()) : keep::PageStream::Piece{item.offset, left.size()};
    std::memcpy(data + piece.offset, left.data(), piece.size);
    left = left.subspan(piece.size);
  }
  item.offset += chunk.bytes.size();
  if (item.offset < item.bytes) return {};
  all_arrived(at);
  drain();
  return {};
}

void KeepDriver::all_arrived(std::map<std::pair<NodeId, std::uint64_t>, Incoming>::iterator at) {
  Incoming& item = at->second;
  Summing summing;
  summing.slot = item.slot;
  summing.sections = std::move(item.sections);
  summing.arrival = true;
  summing.base = item.base;
  summing.changed = std::move(item.changed);
  incoming_.erase(at);
  summing_.push_back(std::move(summing));
  if (summing_.size() == 1) sum_some();
}

void KeepDriver::sum_some() {
  std::uint64_t left = kSumPieceBytes;
  while (!summing_.empty() && left > 0) {
    Summing& item = summing_.front();
    const bool mapped = static_cast<bool>(begin_sum(item));
    if (mapped && !sum_piece(item, left)) break;
    if (item.arrival) {
      events_.emplace_back(keep::CopyArrived{item.slot, mapped, std::move(item.sums)});
    } else {
      // Without a mapping there are no checksums, and the core fails the commit.
      keep::SlotSummed summed{item.slot, std::move(item.sums)};
      if (item.compared) summed.changed = item.compared->ranges();
      events_.emplace_back(std::move(summed));
    }
    summing_.pop_front();
  }
  if (!summing_.empty() && !going_on_) {
    going_on_ = true;
    put_off_();
  }
  drain();
}

// One chunk of each stream in turn, as long as links take them.
void KeepDriver::pump() {
  bool moved = true;
  while (moved) {
    moved = false;
    std::vector<keep::CopySent> sent;
    for (auto at = outgoing_.begin(); at != outgoing_.end();) {
      moved = send_chunk(*at) || moved;
      if (at->offset < at->bytes) {
        ++at;
        continue;
      }
      sent.push_back({at->to, at->copy});
      at = outgoing_.erase(at);
    }
    for (const keep::CopySent& item : sent) events_.emplace_back(item);
    drain();
  }
}

bool KeepDriver::send_chunk(Outgoing& outgoing) {
  if (peers_.queued_bytes(outgoing.to) >= kStreamWindowBytes) return false;
  Slot& slot = slots_.at(outgoing.slot);
  if (!map_slot(slot)) return false;  // tried again at the next tick
  const std::uint64_t piece = std::min<std::uint64_t>(wire::kCopyChunkBytes, outgoing.bytes - outgoing.offset);
  if (piece == 0) return false;
  while (outgoing.pages && outgoing.piece.size() < piece) {
    const auto [offset, size] = outgoing.pages->next(piece - outgoing.piece.size());
    const ByteView page = slot.mapping.bytes().subspan(offset, size);
    outgoing.piece.insert(outgoing.piece.end(), page.begin(), page.end());
  }
  const ByteView bytes = outgoing.pages ? outgoing.piece : slot.mapping.bytes().subspan(outgoing.offset, piece);
  const wire::CopyChunk chunk{outgoing.copy, outgoing.offset, bytes};
  if (!peers_.send(outgoing.to, chunk)) return false;
  sent_bytes_ += wire::kHeaderSize + wire::kCopyChunkHeadBytes + piece;
  outgoing.piece.clear();
  outgoing.offset += piece;
  return true;
}

wire::ReplicationStatus KeepDriver::replication() const {
  const keep::DeltaCounts& deltas = core_.deltas();
  return {sent_bytes_, deltas.saved_bytes, deltas.offered, deltas.refused};
}

}  // namespace rk::daemon
