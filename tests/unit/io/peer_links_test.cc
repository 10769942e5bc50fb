// SPDX-License-Identifier: Apache-2.0
// Links between two servers in one process.
#include "io/peer_links.h"

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace rk::io {
namespace {

constexpr std::uint64_t kPatienceMs = 60'000;  // only for hangs
constexpr int kMaxDescriptor = 1024;

std::uint16_t port_of(const sockaddr_storage& address) {
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

class Links : public ::testing::Test {
 protected:
  Links() : keys_(keys::KeySet::generate()) {
    for (const std::uint32_t node : {1U, 2U}) {
      listening_.push_back(listen_tcp({"127.0.0.1", 0}).value());
      sockaddr_storage bound{};
      socklen_t size = sizeof bound;
      EXPECT_EQ(::getsockname(listening_.back().get(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
      roster_.push_back({NodeId(node), {"127.0.0.1", port_of(bound)}});
    }
  }

  std::unique_ptr<PeerLinks> server(std::uint32_t node, std::uint64_t incarnation,
                                    std::function<void(Incarnation)> on_up = nullptr) {
    PeerLinks::Callbacks callbacks;
    callbacks.on_up = [on_up = std::move(on_up)](const ProvenPeer& peer) {
      if (on_up) on_up(peer.incarnation);
    };
    callbacks.on_down = [](NodeId, const Error&) {};
    callbacks.on_frame = [](const ProvenPeer&, const wire::Frame&) { return Status(); };
    return PeerLinks::create(loop_, {ClusterId(7), NodeId(node), Incarnation(incarnation), {}}, {keys_, true}, roster_,
                             shm::duplicate(listening_.at(node - 1).get()).value(), {}, std::move(callbacks))
        .value();
  }
  // The two ends of the link: what server 1 has connected, and what server 2 has accepted.
  struct Ends {
    int dialled = -1;
    int accepted = -1;
  };
  Ends ends() const {
    Ends out;
    const std::uint16_t port = roster_[1].address.port;
    for (int fd = 3; fd < kMaxDescriptor; ++fd) {
      sockaddr_storage own{};
      sockaddr_storage other{};
      socklen_t size = sizeof own;
      if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0 || own.ss_family != AF_INET) continue;
      size = sizeof other;
      if (::getpeername(fd, reinterpret_cast<sockaddr*>(&other), &size) != 0) continue;
      if (port_of(own) == port) out.accepted = fd;
      if (port_of(other) == port) out.dialled = fd;
    }
    return out;
  }
  static bool all_acknowledged(int fd) {
    int waiting = 0;
    return ::ioctl(fd, SIOCOUTQ, &waiting) == 0 && waiting == 0;
  }

  EventLoop loop_;
  keys::KeySet keys_;
  std::vector<shm::Descriptor> listening_;
  std::vector<RosterEntry> roster_;
};

// A host that lost its memory, or a network that lost the end of the connection: nothing tells server 1, and it has
// nothing to send that would find out.
TEST_F(Links, ALinkWhoseOtherEndIsSilentlyGoneIsMadeAnew) {
  std::unique_ptr<PeerLinks> second;
  bool made_anew = false;
  bool may_not = false;
  int sides = 0;
  Timer later(loop_);
  std::function<void()> vanish = [&] {
    const Ends link = ends();
    if (!all_acknowledged(link.dialled) || !all_acknowledged(link.accepted)) return later.start(1, vanish);
    const shm::Descriptor socket = shm::duplicate(link.accepted).value();
    const int on = 1;  // a connection that is closed in this mode says nothing
    may_not = ::setsockopt(socket.get(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0;
    if (may_not) return loop_.stop();
    second.reset();
    second = server(2, 2);
  };
  // Once both have all that the other said.
  const auto up = [&] {
    if (++sides == 2) loop_.post(vanish);
  };
  second = server(2, 1, [&](Incarnation) { up(); });
  const auto first = server(1, 1, [&](Incarnation life) {
    if (life == Incarnation(1)) return up();
    made_anew = true;
    loop_.stop();
  });
  Timer patience(loop_);
  patience.start(kPatienceMs, [&] { loop_.stop(); });
  loop_.run();
  if (may_not) GTEST_SKIP() << "TCP_REPAIR needs CAP_NET_ADMIN";
  EXPECT_TRUE(made_anew) << "server 1 " << (first->connected(NodeId(2)) ? "believes in the old link" : "has no link");
}

}  // namespace
}  // namespace rk::io
