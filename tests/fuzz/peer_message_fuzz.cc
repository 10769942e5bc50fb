// SPDX-License-Identifier: Apache-2.0
// Any frame from a stranger on the peer socket, at any stage of the handshake (the first byte chooses), and any frame
// of the ring's family: never a proven peer without the key, never a crash.
#include "base/check.h"
#include "io/peer_handshake.h"
#include "tests/fuzz/fuzz_target.h"
#include "wire/ring_messages.h"

namespace rk::fuzz {
namespace {

const keys::ClusterKey& key() {
  static const auto kKey = keys::ClusterKey::parse("ringkeep-key-1 1 " + std::string(64, '6')).value();
  return kKey;
}

io::PeerIdentity server(std::uint32_t node) { return {ClusterId(7), NodeId(node), Incarnation(node), {}}; }

wire::Frame frame_of(wire::MessageType type, ByteView payload) {
  return {type, 0, {}, 0, Bytes(payload.begin(), payload.end())};
}

}  // namespace

void run(ByteView input) {
  if (input.size() < 2) return;
  const auto choice = std::to_integer<std::uint32_t>(input[0]);
  const auto kind = std::to_integer<std::uint32_t>(input[1]);
  const ByteView payload = input.subspan(2);
  auto dialer = io::PeerHandshake::dial(server(1), key(), NodeId(2), Bytes(wire::kNonceSize, std::byte{1}));
  auto listener = io::PeerHandshake::listen(
      server(2), {key()}, [](NodeId) { return true; }, Bytes(wire::kNonceSize, std::byte{2}));
  const auto handshake_frame = frame_of(
      static_cast<wire::MessageType>(static_cast<std::uint32_t>(wire::MessageType::kPeerHello) + kind % 4), payload);
  switch (choice % 4) {
    case 0:
      (void)listener.on_frame(handshake_frame);
      break;
    case 1:
      (void)listener.on_frame(*dialer.first());
      (void)listener.on_frame(handshake_frame);
      break;
    case 2:
      (void)dialer.on_frame(handshake_frame);
      break;
    default: {
      const auto ring = frame_of(
          static_cast<wire::MessageType>(static_cast<std::uint32_t>(wire::MessageType::kRingFirst) + kind % 16),
          payload);
      const auto message = wire::ring_message_from_frame(ring);
      if (message) RK_CHECK(wire::ring_message_to_frame(*message, {}).payload == ring.payload);
    }
  }
  RK_CHECK(!dialer.proven() && !listener.proven());
}

}  // namespace rk::fuzz
