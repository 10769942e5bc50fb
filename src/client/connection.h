// SPDX-License-Identifier: Apache-2.0
// A client's connection to its node's server: one socket, every wait bounded by poll(), no thread. One request at a
// time, beside posted ones whose answers are fetched later. Used by one thread at a time; used by the checkpoint and
// job calls, libringkeep-mpi and the launcher.
//
// A malformed answer ends the connection: every later call says so. A request whose answer does not come in time leaves
// the connection usable; the late answer is recognised by its number and dropped.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "client/idle_mappings.h"
#include "client/readiness.h"
#include "shm/descriptor.h"
#include "wire/client_messages.h"
#include "wire/codec.h"

namespace rk::client {

inline constexpr std::uint32_t kDefaultTimeoutMs = 10'000;

struct ConnectOptions {
  std::string socket_path;  // empty: $RINGKEEP_SOCKET, then the user's default
  std::string program;      // for people; empty: this program's name
  ClusterId cluster;        // 0: whichever the server belongs to
  std::uint32_t timeout_ms = kDefaultTimeoutMs;
  bool fenced = false;  // the node's guard may kill this process when the server has no lease
};

// A C caller's options in our words; nullptr is allowed.
std::string resolve_socket_path(const std::string& given);

// A server must be `user`'s or root's: anybody can create a missing directory in /tmp and listen there. kPermission.
Status check_server_owner(std::uint32_t owner, std::uint32_t user, const std::string& path);

inline constexpr std::size_t kMaxNotices = 64;

struct CallOptions {
  Incarnation incarnation;                              // of the community, for the frame header
  std::vector<shm::Descriptor>* descriptors = nullptr;  // takes those of the answer; without it an answer has none
  std::uint32_t timeout_ms = 0;                         // 0: the connection's
};

class Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(const ConnectOptions& options);

  // Sends the request and waits for its answer. A refusal by the server is its Error; kTimeout if no answer came, then
  // the outcome is unknown; kPeerGone if the server closed the connection.
  template <class Answer, class Request>
  Result<Answer> call(const Request& request, const CallOptions& options = {}) {
    RK_TRY(const wire::Frame answer, exchange(wire::to_packet(request, ++last_request_, options.incarnation), options));
    auto message = wire::from_frame<Answer>(answer);
    if (!message) broken_ = message.error();
    return message;
  }

  // A request whose answer is fetched later, with poll_answer(): one at a time, beside call(). It has no descriptors.
  template <class Request>
  Status begin(const Request& request, const CallOptions& options = {}) {
    return begin_packet(wire::to_packet(request, ++last_request_, options.incarnation));
  }
  bool begun() const { return begun_ != 0; }
  // The answer to begin(), or nullopt if it has not come after `timeout_ms`. A refusal by the server is its Error.
  template <class Answer>
  Result<std::optional<Answer>> poll_answer(std::uint32_t timeout_ms = 0) {
    RK_TRY(const auto answer, poll_frame(timeout_ms));
    if (!answer) return std::nullopt;
    auto message = wire::from_frame<Answer>(*answer);
    if (!message) {
      broken_ = message.error();
      return tl::unexpected(broken_);
    }
    return std::optional<Answer>(*std::move(message));
  }

  // As poll_answer(), for a request with many answers that end with Done: it stays open after each, and nullopt while
  // !begun() says that they have ended. No call() meanwhile.
  template <class Item>
  Result<std::optional<Item>> poll_item(std::uint32_t timeout_ms = 0) {
    const std::uint64_t request = begun_;
    RK_TRY(const auto answer, poll_frame(timeout_ms));
    if (!answer || answer->type == wire::MessageType::kDone) return std::nullopt;
    auto message = wire::from_frame<Item>(*answer);
    if (!message) {
      broken_ = message.error();
      return tl::unexpected(broken_);
    }
    begun_ = request;
    return std::optional<Item>(*std::move(message));
  }

  // Requests whose answers are fetched later, any number of them, beside all other calls: hands one over and gives its
  // number. Waits for room in the socket only, at most the connection's timeout; then kUnavailable, and the server has
  // nothing of it. `more`: another one follows at once, so this one may stay here until the next call.
  template <class Request>
  Result<std::uint64_t> post(const Request& request, Incarnation incarnation = {}, bool more = false) {
    const wire::Packet packet = wire::to_packet(request, ++last_request_, incarnation);
    RK_TRY_VOID(post_packet(packet, more));
    posted_.insert(packet.request);
    return packet.request;
  }
  // The answer to a posted request is of no interest.
  void forget(std::uint64_t request) { posted_.erase(request); }
  // Hands over what stayed here. Takes what the server has sent; if no answer to a posted request is among it, waits
  // for one, at most timeout_ms. An error: the connection has ended.
  Status collect(std::uint32_t timeout_ms);
  bool has_posted_answer() const { return !posted_answers_.empty(); }
  // The oldest one that collect() or another call took in.
  std::optional<wire::Frame> next_posted_answer();
  // What it says. A refusal by the server is its Error.
  template <class Answer>
  Result<Answer> read_answer(const wire::Frame& answer) {
    if (answer.type == wire::MessageType::kRefusal) {
      if (const auto refusal = refused(answer); !refusal) return tl::unexpected(refusal.error());
    }
    auto message = wire::from_frame<Answer>(answer);
    if (!message) broken_ = message.error();
    return message;
  }
  // Readable when there may be answers to posted requests, taken in already or not, when the server has gone, and when
  // its user asked for it.
  Result<int> posted_descriptor();
  // Of the user of posted_descriptor(); nullptr before that.
  Readiness* readiness() { return readiness_ ? &*readiness_ : nullptr; }

  // What the server said unasked since the last call, at most kMaxNotices of it; does not wait. For a connection that
  // created a job (wire::ServerNotice), when descriptor() is readable. kPeerGone: the server has closed it.
  Result<std::vector<wire::ServerNotice>> take_notices();

  const wire::ServerHello& server() const { return server_; }
  const std::string& socket_path() const { return socket_path_; }
  std::uint32_t timeout_ms() const { return timeout_ms_; }
  bool broken() const { return broken_.code != ErrorCode::kOk; }
  const Error& broken_by() const { return broken_; }
  // Ends the connection: every later call says why. posted_descriptor() is readable from then on.
  void give_up(const Error& why);
  // Was the last request of call() handed over whole? If not, the server has done nothing of it.
  bool handed_over() const { return handed_over_; }
  // Of memory that the server lends for writing.
  IdleMappings& idle_mappings() { return idle_mappings_; }
  IdleMappings& idle_reads() { return idle_reads_; }
  // To watch for the end of the server; never read from it.
  int descriptor() const { return socket_.get(); }

 private:
  Connection() = default;
  Status connect(const ConnectOptions& options);
  Status greet(const ConnectOptions& options);
  Result<wire::Frame> exchange(const wire::Packet& request, const CallOptions& options);
  Status begin_packet(const wire::Packet& request);
  Status post_packet(const wire::Packet& request, bool more);
  void set_aside(wire::Frame frame);
  Result<std::optional<wire::Frame>> poll_frame(std::uint32_t timeout_ms);
  void keep_notice(const wire::Frame& frame);
  Result<wire::Frame> refused(const wire::Frame& answer);
  Status send_all(ByteView bytes, std::uint64_t deadline_ms);
  Status send_some(ByteView& bytes, std::uint64_t deadline_ms);
  Status closed();
  Status send_held_back(std::uint64_t deadline_ms);
  // The next frame, with its descriptors in `arrived`.
  Result<wire::Frame> receive(std::uint64_t deadline_ms, std::vector<shm::Descriptor>& arrived);
  Status read_some(std::uint64_t deadline_ms);
  Status wait_for(short events, std::uint64_t deadline_ms) const;

  shm::Descriptor socket_;
  std::string socket_path_;
  std::uint32_t timeout_ms_ = kDefaultTimeoutMs;
  std::uint64_t last_request_ = 0;
  bool handed_over_ = false;
  std::uint64_t begun_ = 0;                  // number of the request of begin(), 0 if none is open
  std::optional<wire::Frame> begun_answer_;  // it came while call() waited for another one
  Bytes held_back_;                          // of posted requests, not handed over yet
  std::set<std::uint64_t> posted_;           // requests without their answers
  std::deque<wire::Frame> posted_answers_;
  std::optional<Readiness> readiness_;
  wire::FrameCutter cutter_;
  std::vector<wire::ServerNotice> notices_;
  std::deque<shm::Descriptor> received_;  // descriptors that came before their frame was whole
  wire::ServerHello server_;
  IdleMappings idle_mappings_;  // for writing
  IdleMappings idle_reads_;
  Error broken_{ErrorCode::kOk, {}};
};

}  // namespace rk::client
