// SPDX-License-Identifier: Apache-2.0
// ringkeep-queue: a job queue whose every acknowledged job is on two servers of a ring. docs/service.md
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "server.h"

namespace {

// As `ringkeep` itself has them: docs/exit-codes.md.
enum Exit {
  kUsage = 64,
  kDamaged = 65,      // what is saved is lost, or no queue
  kUnavailable = 69,  // no server of the ring answers, or it does not serve
  kSystem = 71,
  kAgain = 75,  // the server has gone: start this again
};

constexpr char kHelp[] =
    "usage: ringkeep-queue [--listen ADDRESS:PORT] [--name NAME] [--jobs N] [--bytes N] [--connections N]\n"
    "                      [--timeout-ms N] [--accept-loss]\n"
    "  --listen       address and port of this machine; default 127.0.0.1:7070; port 0: a free one\n"
    "  --name         of the queue in the keep, below queue/; default jobs\n"
    "  --jobs         jobs at a time; default 100000\n"
    "  --bytes        of all their bodies; default 67108864\n"
    "  --connections  at a time; default 1024\n"
    "  --timeout-ms   for an answer of the ring's server; default 10000\n"
    "  --accept-loss  start with what is left of a queue that is lost in part\n"
    "The server of the ring is the one at $RINGKEEP_SOCKET, else the first of this user's own ring.\n";

struct Options {
  std::string listen = "127.0.0.1:7070";
  std::string name = "jobs";
  queue::Limits limits;
  queue::ServerLimits server;
  std::uint32_t timeout_ms = 10'000;
  bool accept_loss = false;
};

class Wrong : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::size_t number(std::string_view option, std::string_view text, std::size_t most) {
  std::size_t value = 0;
  const char* const end = text.data() + text.size();
  if (std::from_chars(text.data(), end, value).ptr != end || text.empty() || value == 0 || value > most)
    throw Wrong(std::string(option) + " takes a number from 1 to " + std::to_string(most) + ", not '" +
                std::string(text) + "'");
  return value;
}

void check_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  if (name.empty() || name.size() > queue::kMaxNameBytes || name.find_first_not_of(kAllowed) != std::string_view::npos)
    throw Wrong("--name takes 1 to " + std::to_string(queue::kMaxNameBytes) + " letters, digits and -_.");
}

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--accept-loss") {
      options.accept_loss = true;
      continue;
    }
    constexpr std::string_view kValued[] = {"--listen", "--name", "--jobs", "--bytes", "--connections", "--timeout-ms"};
    if (std::find(std::begin(kValued), std::end(kValued), option) == std::end(kValued))
      throw Wrong("there is no option " + std::string(option));
    if (i + 1 == argc) throw Wrong(std::string(option) + " needs a value");
    const std::string_view value = argv[++i];
    if (option == "--listen") options.listen = value;
    if (option == "--name") options.name = value;
    if (option == "--jobs") options.limits.jobs = number(option, value, queue::kMaxSegments * queue::kSegmentJobs);
    if (option == "--bytes") options.limits.bytes = number(option, value, std::size_t{1} << 30U);
    if (option == "--connections") options.server.connections = number(option, value, 65'536);
    if (option == "--timeout-ms") options.timeout_ms = static_cast<std::uint32_t>(number(option, value, 600'000));
  }
  check_name(options.name);
  return options;
}

std::system_error refused(const std::string& what) { return {errno, std::generic_category(), what}; }

queue::Descriptor listen_at(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) throw Wrong("--listen takes ADDRESS:PORT, not '" + text + "'");
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), text.c_str() + colon + 1, &hints, &found) != 0)
    throw Wrong("--listen takes a numeric address and a port, not '" + text + "'");
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> address(found, ::freeaddrinfo);
  queue::Descriptor socket(::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) throw refused("cannot make a socket");
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), address->ai_addr, address->ai_addrlen) != 0 || ::listen(socket.get(), SOMAXCONN) != 0)
    throw refused("cannot listen at " + text + " (another instance?)");
  return socket;
}

std::uint16_t port_of(const queue::Descriptor& listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw refused("cannot tell the port");
  in_port_t port = 0;  // at the same place in both families
  std::memcpy(&port, reinterpret_cast<const char*>(&address) + offsetof(sockaddr_in, sin_port), sizeof port);
  return ntohs(port);
}

queue::Descriptor ending_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT}) ::sigaddset(&set, signal);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) throw refused("cannot block signals");
  queue::Descriptor signals(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (signals.get() < 0) throw refused("cannot take signals");
  return signals;
}

void serve(const Options& options) {
  queue::Descriptor signals = ending_signals();
  // First of all: of two instances at one address the second one ends here, before it has touched the queue.
  queue::Descriptor listener = listen_at(options.listen);
  const std::uint16_t port = port_of(listener);
  // Fenced: it never meets the instance that another node starts when this node's server has lost its ring.
  rk::Client client({}, options.timeout_ms, true);
  queue::Server server(queue::Store(std::move(client), options.name, options.accept_loss), options.limits,
                       options.server, std::move(listener), std::move(signals));
  std::cout << "ready at " << options.listen.substr(0, options.listen.rfind(':')) << ":" << port << std::endl;
  server.run();
}

int complain(int code, const std::string& words) {
  std::cerr << "ringkeep-queue: " << words << std::endl;
  return code;
}

int explain(const rk::Failure& failure) {
  switch (failure.code()) {
    case RK_ERR_PEER_GONE:
    case RK_ERR_TIMEOUT:
      return complain(kAgain, failure.words() + "; start ringkeep-queue again");
    case RK_ERR_LOST:
      return complain(kDamaged, failure.words() + "; --accept-loss starts with what is left of the queue");
    case RK_ERR_CORRUPT:
      return complain(kDamaged, failure.words());
    default:
      return complain(kUnavailable, failure.words());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h")) {
    std::cout << kHelp;
    return 0;
  }
  try {
    serve(read_options(argc, argv));
    return 0;
  } catch (const Wrong& wrong) {
    return complain(kUsage, std::string(wrong.what()) + "; ringkeep-queue --help lists the options");
  } catch (const rk::Failure& failure) {
    return explain(failure);
  } catch (const queue::Damaged& damaged) {
    return complain(kDamaged, std::string(damaged.what()) + ": choose another --name, or remove it with `ringkeep rm`");
  } catch (const std::exception& other) {
    return complain(kSystem, other.what());
  }
}
