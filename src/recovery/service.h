// SPDX-License-Identifier: Apache-2.0
// What an agent of `ringkeep run --service` does next. One agent runs on each node that may run the service; exactly
// one of them is active.
//
//   away ---------> looking ------> waiting          another server is the home of the record; a new view may change
//   that no server       |  ^  ^            |
//     ^             |  |  `------------'
//     |             v  |
//     |          claiming --------> running -------> backing off ----> claiming
//     |             committed        the program         it died
//     `------------------------------- ending: the server has gone, or we were told to end
//
// - The record is the checkpoint `service/NAME`. The keep has one home with writers for it as long as that server is a
//   member of the ring, so the agent whose server commits it is the active one; nobody else can, until a view has
//   removed that server and its lease has ended. Who asks first does not matter: the commit decides.
// - The record says which life of which server committed it. While that is a member, there is nothing to ask for.
// - The version of that commit is the epoch. It is committed anew before each start of the program, so that no two
//   lives of the service have the same epoch, and a later one has a higher one.
// - When that server is gone, the agent whose server holds a copy of the record goes first: the program's own
//   checkpoints are there too. The others step aside for a moment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.h"

namespace rk::recovery::service {

using TimeMs = std::uint64_t;

struct Config {
  std::string name;
  std::uint32_t max_restarts = 5;  // in a row, with less than `settled_ms` of work in between
  TimeMs settled_ms = 10'000;
  TimeMs grace_ms = 3'000;  // from SIGTERM to SIGKILL; shorter than the fencing time of a node
  TimeMs step_aside_ms = 2'000;
  TimeMs retry_ms = 500;
  TimeMs first_backoff_ms = 50;  // doubled with each death in a row
  TimeMs longest_backoff_ms = 5'000;
};

// What the record says, as JSON: for people, and for agents that wait.
struct Record {
  std::string name;
  bool active = true;  // false: its agent has ended in order
  NodeId server;
  Incarnation incarnation;  // of that server
  std::uint64_t agent_pid = 0;
};
std::string to_text(const Record& record);
// Nothing if it is not what to_text() writes.
std::optional<Record> parse_record(std::string_view text);

// --- events ---

struct Begin {};
// The answers to Connect.
struct Reached {
  NodeId node;
  Incarnation incarnation;
};
struct Unreached {
  std::string why;
};
struct ServerLost {
  std::string why;
};
struct RingChanged {};
// The answers to Look.
struct Found {
  bool exists = true;            // the record
  bool holds = false;            // this server has a copy of it
  std::optional<Record> record;  // none: it cannot be read, or was written by somebody else
  bool is_member = false;        // the life of the server that has committed it
};
struct LookFailed {
  std::string why;
};
// The answers to Claim.
struct Claimed {
  Version epoch;
};
struct ClaimFailed {
  std::string why;
};
// Every process of the program is gone; also when it could not be started.
struct ProgramEnded {
  int status = 0;  // exit status, or 128 + signal
};
struct Stop {};  // a signal asks us to end
struct Due {
  std::uint64_t timer = 0;
};

using What = std::variant<Begin, Reached, Unreached, ServerLost, RingChanged, Found, LookFailed, Claimed, ClaimFailed,
                          ProgramEnded, Stop, Due>;

// --- effects ---

struct Connect {};
struct Look {};
struct Claim {};
struct Start {
  Version epoch;
};
struct Terminate {};  // SIGTERM to the program
struct Kill {};       // SIGKILL to all its processes
// Best effort: the record says that nobody is active here.
struct Release {};
struct SetTimer {
  std::uint64_t timer = 0;  // replaces the one before
  TimeMs delay_ms = 0;
};
struct Say {
  std::string line;
};
struct End {
  int status = 0;
};

using Effect = std::variant<Connect, Look, Claim, Start, Terminate, Kill, Release, SetTimer, Say, End>;
using Effects = std::vector<Effect>;

enum class State : std::uint8_t { kAway, kLooking, kWaiting, kClaiming, kRunning, kBackingOff, kEnding, kEnded };

class Agent {
 public:
  explicit Agent(Config config) : config_(std::move(config)) {}
  void step(TimeMs now_ms, const What& what, Effects& out);
  State state() const { return state_; }

 private:
  void on(const Begin& event);
  void on(const Reached& event);
  void on(const Unreached& event);
  void on(const ServerLost& event);
  void on(const RingChanged& event);
  void on(const Found& event);
  void on(const LookFailed& event);
  void on(const Claimed& event);
  void on(const ClaimFailed& event);
  void on(const ProgramEnded& event);
  void on(const Stop& event);
  void on(const Due& event);
  void look();
  void claim();
  void connect();
  void retry_later(const std::string& why);
  void end_program();
  void end(int status);
  void set_timer(TimeMs delay_ms);
  void drop_timer() { ++timer_; }
  void say(const std::string& text);
  void say_once(const std::string& text);

  Config config_;
  TimeMs now_ms_ = 0;
  State state_ = State::kAway;
  NodeId node_;                 // of our server
  Incarnation incarnation_;     // likewise
  bool changed_ = false;        // the ring has, since the look that is under way
  bool stopping_ = false;       // a signal has asked
  bool lost_ = false;           // the server went while the program was ending
  TimeMs aside_until_ms_ = 0;   // 0: not stepping aside
  std::uint32_t restarts_ = 0;  // in a row
  TimeMs started_ms_ = 0;
  std::uint64_t timer_ = 0;
  std::string said_;
  Effects* out_ = nullptr;
};

}  // namespace rk::recovery::service
