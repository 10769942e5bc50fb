// SPDX-License-Identifier: Apache-2.0
// Large checkpoints beside the copies that nobody can do without. What is compared alternates; of each pair one line.
// A and B are `keep` (ours), or the reference; a reference against itself gives the null ratio.
//
// bulk checkpoint SOCKET BYTES PAIRS PERMILLE A B   A, B: keep, memcpy
//   Two processes at the same time. "A_us B_us OK_us": what the slower process waits for until it may go on: of the
//   keep, the call of rk_put_async. OK_us: until the last of the two had the outcome, `replicated`; 0 without the keep.
//   PERMILLE of the pages have changed since the version before.
// bulk wire SOCKET BYTES PAIRS PERMILLE             "SENT CHANGED": bytes that this host's lo sent for one commit, and
//   bytes of the pages that had changed
// bulk read SOCKET BYTES PAIRS A B                  A, B: keep, memcpy. "A_us B_us": into memory of the caller
// bulk map SOCKET BYTES PAIRS                       "us": until the newest version is mapped
// bulk restore HOME OTHER BYTES PAIRS A B           A, B: keep, tcp. "A_us B_us": what HOME has, read at OTHER, which
// has
//   no copy; or sent by another process over one TCP connection
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "turns.h"

namespace {

using bench::check;
using bench::die;
using bench::now_us;
using bench::Program;
using bench::Turns;
using bench::Warm;

constexpr int kRanks = 2;
constexpr int kWarmUps = 4;  // until each version has memory that an earlier one had
constexpr std::size_t kPieceBytes = std::size_t{1} << 20U;

std::size_t bytes_of(const char* text) { return std::strtoull(text, nullptr, 10); }

void await_outcome(rk_client* client) {
  rk_outcome outcome{};
  std::size_t count = 0;
  check(rk_outcomes(client, &outcome, 1, &count, bench::kPatienceMs));
  if (count != 1) die("no outcome in time");
  if (outcome.code != RK_OK) die(outcome.words);
}

void commit_async(rk_client* client, const std::string& name, const Program& program) {
  check(rk_put_async(client, name.c_str(), program.data(), program.size(), RK_LEVEL_REPLICATED, 0, nullptr));
}

void commit(rk_client* client, const char* name, const Program& program) {
  check(rk_put(client, name, program.data(), program.size(), nullptr));
}

// --- checkpoint ---

class Rank {
 public:
  Rank(const char* socket, std::size_t bytes, int permille, const Turns& turns, int number)
      : turns_(turns),
        permille_(permille),
        name_("bench" + std::to_string(number)),
        client_(bench::open_client(socket)),
        program_(bytes),
        other_program_(bytes),
        target_(bytes) {}
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;
  ~Rank() { rk_close(client_); }

  double keep_us(double& ok_us) {
    program_.change(permille_);
    double began = 0;
    double ended = 0;
    const double blocked = turns_.slowest_us(
        [&] {
          began = now_us();
          commit_async(client_, name_, program_);
        },
        [&] {
          await_outcome(client_);
          ended = now_us();
        });
    ok_us = ended - began;
    return blocked;
  }

  double memcpy_us() {
    other_program_.change(permille_);
    return turns_.slowest_us([&] { std::memcpy(target_.data(), other_program_.data(), target_.size()); });
  }

 private:
  const Turns& turns_;
  int permille_;
  std::string name_;
  rk_client* client_;
  Program program_;
  Program other_program_;  // the same changes, for the reference alone
  Warm target_;
};

int run_rank(char** argv, Turns::Shared& shared, int number) {
  const Turns turns(shared, number, kRanks);
  Rank rank(argv[2], bytes_of(argv[3]), std::atoi(argv[5]), turns, number);
  double ok_us = 0;
  const auto time_us = [&](const std::string& side) {
    if (side == "keep") return rank.keep_us(ok_us);
    if (side != "memcpy") die("not a side: " + side);
    return rank.memcpy_us();
  };
  for (int i = 0; i < kWarmUps; ++i)
    for (const int side : {6, 7}) time_us(argv[side]);
  for (int pair = 0; pair < std::atoi(argv[4]); ++pair) {
    std::array<double, 2> times{};
    ok_us = 0;
    for (const int which : {pair % 2, 1 - pair % 2})
      times.at(static_cast<std::size_t>(which)) = time_us(argv[6 + which]);
    if (number == 0) std::printf("%.1f %.1f %.1f\n", times[0], times[1], ok_us);
  }
  std::fflush(stdout);
  return 0;
}

int checkpoint(char** argv) {
  const Warm memory(sizeof(Turns::Shared));
  auto& shared = *reinterpret_cast<Turns::Shared*>(memory.data());
  Turns::begin(shared, kRanks);
  std::vector<pid_t> children;
  for (int number = 0; number < kRanks; ++number) {
    const pid_t child = ::fork();
    if (child < 0) die("no process");
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      std::exit(run_rank(argv, shared, number));
    }
    children.push_back(child);
  }
  int failed = 0;
  for (std::size_t ended = 0; ended < children.size(); ++ended) {
    int state = 0;
    ::wait(&state);
    if (state == 0) continue;
    if (failed++ == 0)  // the others wait for it at the barrier
      for (const pid_t child : children) ::kill(child, SIGKILL);
  }
  return failed == 0 ? 0 : 1;
}

// --- wire ---

unsigned long long bytes_sent() {
  std::ifstream file("/proc/self/net/dev");
  for (std::string line; std::getline(file, line);) {
    const std::size_t at = line.find("lo:");
    if (at == std::string::npos || line.find_first_not_of(' ') != at) continue;
    std::istringstream numbers(line.substr(at + 3));
    unsigned long long received = 0;
    numbers >> received;
    return received;  // what lo sends it receives
  }
  die("this host has no lo");
}

int wire(char** argv) {
  rk_client* client = bench::open_client(argv[2]);
  Program program(bytes_of(argv[3]));
  for (int i = -kWarmUps; i < std::atoi(argv[4]); ++i) {
    const std::size_t changed = program.change(std::atoi(argv[5])) * bench::kPage;
    const auto before = bytes_sent();
    commit(client, "bench", program);
    if (i >= 0) std::printf("%llu %zu\n", bytes_sent() - before, changed);
  }
  rk_close(client);
  return 0;
}

// --- read, map ---

rk_reader* map_newest(rk_client* client, const char* name = "bench") {
  rk_reader* reader = nullptr;
  check(rk_map(client, name, 0, &reader));
  return reader;
}

void read_into(rk_client* client, Warm& target) {
  rk_reader* reader = map_newest(client);
  check(rk_reader_copy(reader, "data", target.data(), target.size()));
  rk_reader_close(reader);
}

template <class Work>
double us_of(const Work& work) {
  const double start = now_us();
  work();
  return now_us() - start;
}

// Alternating pairs of what the sides are called.
void print_pairs(int pairs, char** sides, const std::map<std::string, std::function<double()>>& known) {
  for (int side : {0, 1})
    if (!known.contains(sides[side])) die(std::string("not a side: ") + sides[side]);
  for (int pair = -2; pair < pairs; ++pair) {
    std::array<double, 2> times{};
    for (const int which : {pair & 1, 1 - (pair & 1)})
      times.at(static_cast<std::size_t>(which)) = known.at(sides[which])();
    if (pair >= 0) std::printf("%.1f %.1f\n", times[0], times[1]);
  }
}

int read(char** argv) {
  const std::size_t bytes = bytes_of(argv[3]);
  rk_client* client = bench::open_client(argv[2]);
  commit(client, "bench", Program(bytes));
  const Warm source(bytes);
  Warm target(bytes);
  Warm other_target(bytes);
  print_pairs(std::atoi(argv[4]), argv + 5,
              {{"keep", [&] { return us_of([&] { read_into(client, target); }); }},
               {"memcpy", [&] { return us_of([&] { std::memcpy(other_target.data(), source.data(), bytes); }); }}});
  rk_close(client);
  return 0;
}

int map(char** argv) {
  rk_client* client = bench::open_client(argv[2]);
  {
    const Program program(bytes_of(argv[3]));
    check(rk_put_async(client, "mapped", program.data(), program.size(), RK_LEVEL_LOCAL, 0, nullptr));
    await_outcome(client);
  }
  for (int i = -2; i < std::atoi(argv[4]); ++i) {
    rk_reader* reader = nullptr;
    const double us = us_of([&] { reader = map_newest(client, "mapped"); });
    rk_reader_close(reader);
    if (i >= 0) std::printf("%.1f\n", us);
  }
  rk_close(client);
  return 0;
}

// --- restore ---

// Another process that sends its memory over TCP whenever it is asked to.
class Sender {
 public:
  explicit Sender(std::size_t bytes) {
    const int door = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(door, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(door, 1) != 0 ||
        ::getsockname(door, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      die("no listening socket");
    child_ = ::fork();
    if (child_ < 0) die("no process");
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      serve(::accept(door, nullptr, nullptr), bytes);
    }
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    tune(socket_);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("no connection");
    ::close(door);
  }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  ~Sender() {
    ::close(socket_);
    ::waitpid(child_, nullptr, 0);
  }

  void fetch(Warm& target) const {
    if (::send(socket_, "", 1, MSG_NOSIGNAL) != 1) die("the sender is gone");
    for (std::size_t got = 0; got < target.size();) {
      const ssize_t part = ::recv(socket_, target.data() + got, std::min(kPieceBytes, target.size() - got), 0);
      if (part <= 0) die("the sender is gone");
      got += static_cast<std::size_t>(part);
    }
  }

 private:
  static void tune(int socket) {
    const int on = 1;
    const int room = 4 << 20;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  }
  [[noreturn]] static void serve(int socket, std::size_t bytes) {
    tune(socket);
    const Warm source(bytes);
    for (char asked = 0; ::recv(socket, &asked, 1, 0) == 1;)
      for (std::size_t sent = 0; sent < bytes;) {
        const ssize_t part = ::send(socket, source.data() + sent, std::min(kPieceBytes, bytes - sent), MSG_NOSIGNAL);
        if (part <= 0) std::_Exit(1);
        sent += static_cast<std::size_t>(part);
      }
    std::_Exit(0);
  }

  pid_t child_;
  int socket_;
};

int restore(char** argv) {
  const std::size_t bytes = bytes_of(argv[4]);
  const Sender sender(bytes);
  rk_client* home = bench::open_client(argv[2]);
  rk_client* other = bench::open_client(argv[3]);
  Program program(bytes);
  Warm target(bytes);
  const auto ours = [&] {
    program.change(1000);
    commit(home, "bench", program);
    rk_reader* reader = nullptr;
    const double us = us_of([&] { check(rk_read(other, "bench", 0, &reader)); });
    rk_reader_close(reader);
    return us;
  };
  print_pairs(std::atoi(argv[5]), argv + 6,
              {{"keep", ours}, {"tcp", [&] { return us_of([&] { sender.fetch(target); }); }}});
  rk_close(other);
  rk_close(home);
  return 0;
}

struct Command {
  int words;
  int (*run)(char** argv);
};
const std::map<std::string, Command> kCommands = {{"checkpoint", {8, checkpoint}},
                                                  {"wire", {6, wire}},
                                                  {"read", {7, read}},
                                                  {"map", {5, map}},
                                                  {"restore", {8, restore}}};

}  // namespace

int main(int argc, char** argv) {
  const auto found = kCommands.find(argc > 1 ? argv[1] : "");
  if (found == kCommands.end() || argc != found->second.words) die("usage: see the head of bench/bulk.cc");
  return found->second.run(argv);
}
