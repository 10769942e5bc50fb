// SPDX-License-Identifier: Apache-2.0
// Real ringkeepd processes in a temporary directory, and a plain blocking client for them. Every wait has a bound of
// kPatienceMs that only a hang reaches. Servers end with the fixture, and with the test program however it ends.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "io/tls_channel.h"
#include "keys/key_set.h"
#include "shm/descriptor.h"
#include "wire/client_messages.h"

namespace rk::testing {

inline constexpr int kPatienceMs = 60'000;

// A directory of its own, removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  // Writes a file in it and gives its path.
  std::string write(const std::string& name, const std::string& content, mode_t mode = 0600) const;

 private:
  std::string path_;
};

// One process with its standard output and error in a file.
class ServerProcess {
 public:
  struct Started {
    std::unique_ptr<ServerProcess> server;  // it is ready, or:
    std::optional<int> exit_code;           // it ended before
    std::string output;                     // what it had written then
  };
  // `keep`: descriptors that the process inherits, beside those for readiness and for its parent's end.
  // `descriptor_limit`: how many it may have (RLIMIT_NOFILE); 0: as many as the test. `control_group`: the directory of
  // the one that it runs in; empty: the test's.
  static Started start(std::vector<std::string> arguments, const std::string& output_file,
                       const std::vector<int>& keep = {}, std::uint64_t descriptor_limit = 0,
                       const std::string& control_group = {});
  ~ServerProcess();

  pid_t pid() const { return pid_; }
  bool running();
  void kill(int signal);
  // Exit code, or 128 + signal.
  int wait();
  std::string output() const;
  // Closes the pipe whose end tells the server that its parent is gone.
  void close_parent_pipe() { parent_.reset(); }

 private:
  ServerProcess() = default;
  pid_t pid_ = -1;
  std::optional<int> ended_;
  shm::Descriptor parent_;
  std::string output_file_;
};

// Blocking conversation with one server.
class TestClient {
 public:
  struct Received {
    wire::Frame frame;
    std::vector<shm::Descriptor> descriptors;
  };

  static Result<TestClient> connect_local(const std::string& path);
  static Result<TestClient> connect_tcp(std::uint16_t port);
  // connect_local, hello, answer.
  static Result<TestClient> greet(const std::string& path, ClusterId cluster = {});

  // From now on what is sent and received goes through the channel. Returns when it is established.
  Status secure(std::unique_ptr<io::TlsChannel> channel);

  // As they are, without the channel.
  Status send_raw(ByteView bytes);
  Status send(const wire::Frame& frame);
  // kPeerGone when the server has closed the connection.
  Result<Received> receive(int timeout_ms = kPatienceMs);
  void shut_writing();
  // Something has come; nothing of it is taken.
  void await_bytes();
  // Drops what comes until the server has closed the connection; false if it does not.
  bool await_end();

  // Sends and awaits the answer with the same request number; a Refusal is the error. One-way frames that come in
  // between are kept in `notices`.
  Result<Received> ask_frame(wire::Frame frame);
  template <class Answer, class Request>
  Result<Answer> ask(const Request& request, std::vector<shm::Descriptor>* descriptors = nullptr,
                     Incarnation sender = {}) {
    RK_TRY(Received received, ask_frame(wire::to_frame(request, 0, sender)));
    if (descriptors != nullptr) *descriptors = std::move(received.descriptors);
    return wire::from_frame<Answer>(received.frame);
  }
  std::vector<wire::Frame> notices;
  // While `recording`, every byte that is sent, one entry a call.
  bool recording = false;
  std::vector<Bytes> recorded;
  io::TlsChannel* channel() { return channel_.get(); }
  int socket() const { return socket_.get(); }
  // What comes is no longer opened.
  void drop_channel() { channel_.reset(); }

 private:
  Status send_outgoing();
  // Takes what has come, at least one byte.
  Status take_some(int timeout_ms);
  explicit TestClient(shm::Descriptor socket) : socket_(std::move(socket)) {}
  shm::Descriptor socket_;
  wire::FrameCutter cutter_;
  std::unique_ptr<io::TlsChannel> channel_;
  std::vector<shm::Descriptor> received_;
  std::uint64_t last_request_ = 0;
};

// N servers of one cluster on loopback.
class RingFixture {
 public:
  struct Options {
    std::uint32_t servers = 4;
    std::string memory = "64M";
    std::vector<std::string> extra_flags;
    bool await_serving = true;  // all of them in one view
    // A server that does not belong to the others.
    std::uint32_t stranger = 0;
    std::string stranger_cluster = "c1";
    bool stranger_key = false;           // a key file of its own
    std::string stranger_config = {};    // a configuration of its own
    std::string config = {};             // of every server, under its flags
    std::uint64_t descriptor_limit = 0;  // of every server; 0: the test's
  };
  explicit RingFixture(Options options);
  explicit RingFixture(std::uint32_t servers) : RingFixture(Options{.servers = servers, .extra_flags = {}}) {}

  static constexpr std::uint64_t kCluster = 0xc1u;

  const std::string& directory() const { return directory_.path(); }
  std::string socket(std::uint32_t node) const;
  // The keys that all servers start with, but for a stranger's.
  const keys::KeySet& keys() const { return keys_; }
  // Each server has its own copy.
  std::string key_file(std::uint32_t node) const;
  std::uint16_t port(std::uint32_t node) const { return ports_.at(node - 1); }
  ServerProcess& server(std::uint32_t node) { return *servers_.at(node - 1); }
  // Starts a server again after it has ended, in the same place.
  ServerProcess::Started start(std::uint32_t node);
  Result<TestClient> client(std::uint32_t node) { return TestClient::greet(socket(node), ClusterId(kCluster)); }
  // A connection to the server's peer port, encrypted as another server of the ring would.
  Result<TestClient> peer(std::uint32_t node) { return peer(node, keys_); }
  Result<TestClient> peer(std::uint32_t node, const keys::KeySet& keys, ClusterId cluster = ClusterId(kCluster));
  Result<wire::StatusAnswer> status(std::uint32_t node);
  // Asks until it holds or kPatienceMs pass.
  bool await_status(std::uint32_t node, const std::function<bool(const wire::StatusAnswer&)>& holds);
  bool await_ring_of(std::size_t members);

 private:
  std::vector<std::string> flags(std::uint32_t node) const;

  Options options_;
  TemporaryDirectory directory_;
  keys::KeySet keys_ = keys::KeySet::generate();
  std::vector<std::uint16_t> ports_;
  std::vector<shm::Descriptor> listening_;  // kept, so that a restarted server gets the same port
  std::vector<std::unique_ptr<ServerProcess>> servers_;
};

// Processes of that name that have a file of the directory open.
std::vector<pid_t> processes_of(const std::string& name, const std::string& directory);

// Path of the server's executable.
const char* server_program();

}  // namespace rk::testing
