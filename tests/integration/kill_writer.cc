// SPDX-License-Identifier: Apache-2.0
// A client that is going to be killed: it commits what kill_board.h says, over the C ABI, and writes down what it
// begins and each OK that it is given.
//   kill_writer SOCKET BOARD READY SEED WAY STEPS
// BOARD: descriptor of a KillBoard. READY: descriptor that gets a byte once it is connected. WAY: one of RK_KILL_WAYS,
// or "any": each step draws one that stands before `job`. STEPS: 0: until it is killed. It ends with 3 if a call fails.
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "ringkeep/ringkeep.h"
#include "tests/integration/kill_board.h"

namespace rk::testing {
namespace {

constexpr int kPatienceMs = 60'000;
constexpr std::size_t kInFlight = 12;

class KillWriter {
 public:
  // `same`: it does the same each time.
  KillWriter(KillBoard& board, std::uint64_t seed, bool same)
      : board_(board), seed_(seed), prng_(same ? seed : seed ^ static_cast<std::uint64_t>(::getpid()) << 32U) {}

  // Every other one has its process watched by the node's guard.
  void open(const char* socket) {
    const rk_options options{sizeof(rk_options), socket, "kill_writer", 0, ::getpid() % 2 == 0 ? 1U : 0U};
    must(rk_open(&options, &client_), "rk_open");
  }
  void close() { rk_close(client_); }

  // `fixed`: as many steps of this way, of one name.
  void step(std::optional<Way> fixed) {
    const auto name = fixed ? 0U : static_cast<std::uint32_t>(prng_.below(kKillNames));
    const Way way = fixed ? *fixed : draw();
    switch (way) {
      case Way::put:
      case Way::put_large:
        return put(name, way);
      case Way::write:
      case Way::sections:
      case Way::write_async:
      case Way::abandon:
        return write(name, way);
      case Way::put_async:
      case Way::put_large_async:
        return put_async(name, way);
      case Way::read:
        return read(name);
      case Way::read_only:
        return read_all();
      case Way::job:
        return;
    }
  }
  void take_all() {
    while (in_flight_ > 0) take();
  }

  // A process of a job: restores what there is, says so, and takes checkpoints.
  void begin_job() {
    enter(Phase::restarting);
    must(rk_job_open(nullptr, &job_), "rk_job_open");
    body_ = kill_content(seed_, kJobName, 0, Way::job)[0].second;
    must(rk_job_protect(job_, "attempt", &attempt_, sizeof attempt_), "rk_job_protect");
    must(rk_job_protect(job_, "body", body_.data(), body_.size()), "rk_job_protect");
    std::uint64_t version = 0;
    must(rk_job_restart_version(job_, &version), "rk_job_restart_version");
    if (version == 0) return;
    enter(Phase::restoring);
    must(rk_job_restore(job_), "rk_job_restore");
    if (body_ != kill_content(seed_, kJobName, attempt_, Way::job)[0].second)
      give_up("what was restored is not what attempt " + std::to_string(attempt_) + " saved");
    report(kJobName, attempt_, version, true);
  }
  void checkpoint() {
    attempt_ = begin(kJobName, Way::job);
    const KillSections next = kill_content(seed_, kJobName, attempt_, Way::job);
    std::copy(next[0].second.begin(), next[0].second.end(), body_.begin());
    enter(Phase::checkpointing);
    std::uint64_t version = 0;
    must(rk_job_checkpoint(job_, &version), "rk_job_checkpoint");
    report(kJobName, attempt_, version);
  }
  void end_job() { rk_job_close(job_); }

 private:
  [[noreturn]] void give_up(const std::string& why) {
    std::snprintf(board_.words.data(), board_.words.size(), "%s", why.c_str());
    std::_Exit(3);
  }
  void must(int code, const char* call) {
    if (code != RK_OK) give_up(std::string(call) + ": " + rk_error_name(code) + ": " + rk_last_error());
  }
  void enter(Phase phase) { board_.phase.store(phase, std::memory_order_relaxed); }
  Way draw() { return static_cast<Way>(prng_.below(static_cast<std::uint64_t>(Way::job))); }

  std::uint64_t begin(std::uint32_t name, Way way) {
    const std::uint64_t attempt = board_.begun[name] + 1;
    board_.ways[name][attempt % kRemembered] = way;
    board_.begun[name] = attempt;
    enter(Phase::composing);
    return attempt;
  }
  void report(std::uint32_t name, std::uint64_t attempt, std::uint64_t version, bool restored = false) {
    const std::uint32_t at = board_.reported;
    if (at == kReports) ::pause();
    board_.reports[at] = {name, restored, attempt, version};
    board_.reported = at + 1;
  }

  void put(std::uint32_t name, Way way) {
    const std::uint64_t attempt = begin(name, way);
    const std::string bytes = kill_content(seed_, name, attempt, way)[0].second;
    enter(Phase::putting);
    std::uint64_t version = 0;
    must(rk_put(client_, kill_name(name).c_str(), bytes.data(), bytes.size(), &version), "rk_put");
    report(name, attempt, version);
  }

  void write(std::uint32_t name, Way way) {
    const std::uint64_t attempt = begin(name, way);
    const KillSections content = kill_content(seed_, name, attempt, way);
    std::vector<rk_section> sections;
    for (const auto& [section, bytes] : content) sections.push_back({section.c_str(), bytes.size()});
    enter(Phase::beginning);
    rk_writer* writer = nullptr;
    must(rk_begin(client_, kill_name(name).c_str(), sections.data(), sections.size(), &writer), "rk_begin");
    enter(Phase::filling);
    for (const auto& [section, bytes] : content) {
      void* place = nullptr;
      must(rk_writer_section(writer, section.c_str(), &place, nullptr), "rk_writer_section");
      if (!bytes.empty()) std::memcpy(place, bytes.data(), bytes.size());
    }
    if (way == Way::abandon) {
      enter(Phase::abandoning);
      return rk_abandon(writer);
    }
    if (way == Way::write_async) {
      enter(Phase::handing_over);
      must(rk_commit_async(writer, RK_LEVEL_REPLICATED, tag(name, attempt), nullptr), "rk_commit_async");
      return handed_over();
    }
    enter(Phase::committing);
    std::uint64_t version = 0;
    must(rk_commit(writer, RK_LEVEL_REPLICATED, &version), "rk_commit");
    report(name, attempt, version);
  }

  void put_async(std::uint32_t name, Way way) {
    const std::uint64_t attempt = begin(name, way);
    const std::string bytes = kill_content(seed_, name, attempt, way)[0].second;
    enter(Phase::handing_over);
    const rk_async_options options{sizeof(rk_async_options), 0, attempt % 2 == 0 ? 1U : 0U};
    must(rk_put_async(client_, kill_name(name).c_str(), bytes.data(), bytes.size(), RK_LEVEL_REPLICATED,
                      tag(name, attempt), &options),
         "rk_put_async");
    handed_over();
  }

  static std::uint64_t tag(std::uint32_t name, std::uint64_t attempt) { return attempt * kKillNames + name; }
  void handed_over() {
    ++in_flight_;
    if (in_flight_ >= kInFlight || prng_.chance(1, 4)) take();
  }
  // Once through an event loop's eyes, once by waiting.
  void take() {
    enter(Phase::awaiting);
    const bool polls = takes_++ % 2 == 0;
    if (polls) {
      int descriptor = -1;
      must(rk_descriptor(client_, &descriptor), "rk_descriptor");
      // What may stay in the process goes.
      std::size_t none = 0;
      rk_outcome first;
      must(rk_outcomes(client_, &first, 1, &none, 0), "rk_outcomes");
      if (none == 1) return taken(first);
      pollfd item{descriptor, POLLIN, 0};
      if (::poll(&item, 1, kPatienceMs) != 1) give_up("no outcome for a minute");
    }
    rk_outcome outcomes[8];
    std::size_t count = 0;
    must(rk_outcomes(client_, outcomes, 8, &count, polls ? 0 : kPatienceMs), "rk_outcomes");
    for (std::size_t i = 0; i < count; ++i) taken(outcomes[i]);
  }
  void taken(const rk_outcome& outcome) {
    if (outcome.code != RK_OK)
      give_up(std::string("an outcome: ") + rk_error_name(outcome.code) + ": " + outcome.words);
    --in_flight_;
    report(static_cast<std::uint32_t>(outcome.tag % kKillNames), outcome.tag / kKillNames, outcome.version);
  }

  void read(std::uint32_t name) {
    enter(Phase::reading);
    rk_reader* reader = nullptr;
    const int code = rk_read(client_, kill_name(name).c_str(), 0, &reader);
    if (code != RK_ERR_NOT_FOUND) must(code, "rk_read");
    put(name, Way::read);
    enter(Phase::closing_reader);
    rk_reader_close(reader);
  }

  void read_all() {
    enter(Phase::reading);
    std::array<rk_reader*, kKillNames> readers{};
    for (std::uint32_t name = 0; name < kKillNames; ++name) {
      const int code = rk_read(client_, kill_name(name).c_str(), 0, &readers[name]);
      if (code != RK_ERR_NOT_FOUND) must(code, "rk_read");
    }
    enter(Phase::closing_reader);
    for (rk_reader* const reader : readers) rk_reader_close(reader);
  }

  KillBoard& board_;
  std::uint64_t seed_;
  Prng prng_;
  rk_client* client_ = nullptr;
  std::size_t in_flight_ = 0;
  std::uint64_t takes_ = 0;
  rk_job* job_ = nullptr;
  std::uint64_t attempt_ = 0;
  std::string body_;
};

std::optional<Way> way_of(std::string_view name) {
  for (std::size_t i = 0; i < kWayNames.size(); ++i)
    if (name == kWayNames[i]) return static_cast<Way>(i);
  return std::nullopt;
}

int run(char** arguments) {
  void* const at = ::mmap(nullptr, sizeof(KillBoard), PROT_READ | PROT_WRITE, MAP_SHARED, std::atoi(arguments[2]), 0);
  if (at == MAP_FAILED) return 2;
  KillBoard& board = *static_cast<KillBoard*>(at);
#ifdef RINGKEEP_MARKED_STORES
  client::count_marks_in(board.marks);
#endif
  const std::optional<Way> way = way_of(arguments[5]);
  if (!way && std::string_view(arguments[5]) != "any") return 2;
  const std::uint64_t steps = std::strtoull(arguments[6], nullptr, 10);
  KillWriter writer(board, std::strtoull(arguments[4], nullptr, 10), steps != 0);
  const bool job = way == Way::job;
  if (job)
    writer.begin_job();
  else
    writer.open(arguments[1]);
  if (::write(std::atoi(arguments[3]), "r", 1) != 1) return 2;
  for (std::uint64_t i = 0; steps == 0 || i < steps; ++i) {
    if (job)
      writer.checkpoint();
    else
      writer.step(way);
  }
  writer.take_all();
  if (job)
    writer.end_job();
  else
    writer.close();
  board.phase = Phase::ended;
  return 0;
}

}  // namespace
}  // namespace rk::testing

int main(int count, char** arguments) { return count == 7 ? rk::testing::run(arguments) : 2; }
