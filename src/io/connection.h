// SPDX-License-Identifier: Apache-2.0
// One stream socket that carries frames both ways; on a local socket descriptors travel with them. Reading is bounded
// by one frame, sending by a queue: a peer that does not read is disconnected. The first malformed byte ends the
// connection. With a TlsChannel, which servers use between them, everything is sealed on the way to the socket and
// opened on the way from it. on_closed comes once, never from inside send() or close() but from the loop, and is the
// last callback.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "io/event_loop.h"
#include "io/tls_channel.h"
#include "io/unfinished_frames.h"
#include "shm/descriptor.h"
#include "wire/frame.h"

namespace rk::io {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Callbacks {
    // The frame, and exactly as many descriptors as it announces. An error is sent as a Refusal and closes the
    // connection.
    std::function<Status(wire::Frame, std::vector<shm::Descriptor>)> on_frame;
    std::function<void(const Error&)> on_closed;
    // The socket did not take all that was sent, and has taken more of it now. May be empty.
    std::function<void()> on_moved = {};
  };
  struct Limits {
    std::size_t max_send_bytes = std::size_t{8} << 20U;
    // Of an unfinished frame; small until the other side is known, then raise_frame_limit().
    std::size_t max_frame_bytes = wire::kHeaderSize + wire::kMaxPayload;
    std::size_t max_send_descriptors = 256;  // that wait: each is one of this process's until the other side reads
    UnfinishedFrames* unfinished = nullptr;  // counts this connection's too; outlives it
  };

  // The socket is connected and non-blocking. Descriptors do not travel through a channel.
  static std::shared_ptr<Connection> create(EventLoop& loop, shm::Descriptor socket, Limits limits, Callbacks callbacks,
                                            std::unique_ptr<TlsChannel> channel = nullptr);
  ~Connection();

  // Sends now or queues; a channel sends nothing before it is established. After the connection is closed it does
  // nothing.
  void send(const wire::Frame& frame, std::span<const int> descriptors = {});
  void send(wire::Packet packet);
  // Says why in a Refusal of the request that is being handled, or of none, then close().
  void refuse(Error why);
  // Ends the connection: what is queued is sent as far as the socket takes it at once. on_closed follows.
  void close(Error why);
  // As close(), without on_closed: for an owner that goes away.
  void abandon();
  // From the next frame on; safe from inside a callback.
  void replace_callbacks(Callbacks callbacks) { callbacks_ = std::make_shared<Callbacks>(std::move(callbacks)); }
  void raise_frame_limit() {
    limits_.max_frame_bytes = wire::kHeaderSize + wire::kMaxPayload;
    cutter_.limit(limits_.max_frame_bytes);
  }
  // While paused no frame is delivered and, once one frame is buffered, none is read.
  void pause();
  void resume();

  // Not yet taken by the socket.
  std::size_t queued_bytes() const;
  // Null: frames travel as they are.
  const TlsChannel* channel() const { return channel_.get(); }
  bool closed() const { return closed_; }
  // Has a byte come?
  bool heard() const { return heard_; }

 private:
  struct Outgoing {
    Bytes bytes;
    std::size_t sent = 0;
    std::vector<shm::Descriptor> descriptors;
  };

  Connection(EventLoop& loop, shm::Descriptor socket, Limits limits, Callbacks callbacks,
             std::unique_ptr<TlsChannel> channel);
  void on_readable();
  void on_writable();
  // One recvmsg. kPeerGone at the end of the stream; false when there is nothing to read now.
  Result<std::size_t> receive();
  Status take_bytes(ByteView bytes);
  // At most kFramesPerTurn frames of this turn of the loop; yields with what is left.
  Status deliver();
  void yield();
  void go_on();
  void note_unfinished();
  Status take_descriptors(const wire::Frame& frame, std::vector<shm::Descriptor>& out);
  void enqueue(Bytes bytes, std::vector<shm::Descriptor> descriptors);
  void flush_when_due();
  void flush_later();
  void check_unread();
  // Sends until the queue is empty or the socket is full.
  Status flush();
  Status flush_plain();
  Status flush_sealed();
  // Moves some of the queue through the channel.
  Status seal_some();
  Result<std::size_t> send_some(std::span<iovec> pieces, std::span<const shm::Descriptor> descriptors);
  void shut();

  EventLoop& loop_;
  shm::Descriptor socket_;
  Limits limits_;
  std::shared_ptr<Callbacks> callbacks_;  // held by who runs one: it may replace them
  std::unique_ptr<TlsChannel> channel_;
  wire::FrameCutter cutter_;
  std::deque<shm::Descriptor> received_;
  std::deque<Outgoing> queue_;
  std::size_t queued_bytes_ = 0;        // in queue_
  std::size_t queued_descriptors_ = 0;  // likewise
  std::uint64_t request_ = 0;           // of the frame that is being handled
  bool closed_ = false;
  bool heard_ = false;
  bool paused_ = false;
  bool delivering_ = false;
  bool yielding_ = false;  // frames are buffered, and wait for the next turn
  int frames_left_ = 0;    // of this turn
  bool flush_posted_ = false;
  bool unfinished_ = false;  // Limits::unfinished counts something of this connection
  bool more_ = false;        // the last read took all that it asked for
  std::optional<Watch> watch_;
};

// Who is at the other end of a local socket.
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
};
Result<PeerCredentials> peer_credentials(int socket);

}  // namespace rk::io
