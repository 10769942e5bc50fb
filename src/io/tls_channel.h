// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 below the frames of a link between two servers, without sockets: bytes in, bytes out. Both sides must hold
// the same key of the cluster: it is the pre-shared key, with a fresh Diffie-Hellman exchange, and there are no
// certificates, tickets or early data. Who the other server is, is settled inside (peer_handshake.h). OpenSSL stays in
// tls_channel.cc.
//
// A stream that ends without a farewell is a broken link, like any other: no close_notify is sent or awaited.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "keys/key_set.h"

namespace rk::io {

// The keys of a cluster as channels use them. Channels that were made from it keep it alive.
class TlsContext {
 public:
  TlsContext(const keys::KeySet& keys, ClusterId cluster);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsChannel;
  struct State;
  std::unique_ptr<State> state_;
};

class TlsChannel {
 public:
  enum class Side { kDialer, kListener };
  using Sink = std::function<void(ByteView)>;

  // `rekey_records`: after so many sealed records the sending side changes its traffic key.
  TlsChannel(std::shared_ptr<const TlsContext> context, Side side, std::uint64_t rekey_records = kRekeyRecords);
  ~TlsChannel();
  TlsChannel(const TlsChannel&) = delete;
  TlsChannel& operator=(const TlsChannel&) = delete;

  // Bytes of the other side, cut anywhere. What they hold in plain goes to `sink`, in order, before the call returns.
  // The error is final, says what is wrong in words, and may have left an alert in outgoing().
  Status receive(ByteView sealed, const Sink& sink);
  // Appends to outgoing(). Only while established.
  Status seal(ByteView plain);
  // What must be sent to the other side; valid until the next call.
  ByteView outgoing() const;
  void drop_outgoing(std::size_t size);

  // Both sides have proved the key, and nothing has failed since.
  bool established() const;
  // The first byte was none of TLS: the other side understands plain frames at best.
  bool foreign() const;
  // Of the key that both sides proved; empty before that.
  const std::string& key_id() const;

 private:
  friend class TlsContext;
  // Far below what one traffic key of AES-GCM may protect (RFC 8446, 5.5).
  static constexpr std::uint64_t kRekeyRecords = std::uint64_t{1} << 22U;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rk::io
