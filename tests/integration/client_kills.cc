// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/client_kills.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <stdexcept>

#include "tests/integration/api_client.h"
#include "wire/control_messages.h"

namespace rk::testing {
namespace {

constexpr std::size_t kRememberedCommitted = 64;
constexpr std::uint64_t kJob = 0x6b696c6c;
constexpr std::uint64_t kLogLimit = std::uint64_t{1} << 20U;
// A few commits of each way.
constexpr std::uint64_t kLifeUs = 25'000;
// From its start until it is connected, and a little more.
constexpr std::uint64_t kStartUs = 6'000;
constexpr int kGaveUp = 3;

void sleep_us(std::uint64_t us) {
  timespec left{static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000 * 1000)};
  while (::clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
  }
}

std::size_t descriptors_of(pid_t pid) {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd", error);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// Until it holds; false after kPatienceMs.
bool await(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    ::poll(nullptr, 0, 5);  // what a server holds is no event
  }
  return true;
}

// The ring may change or be slow; what is asked again changes nothing.
bool passes(int code) { return code == RK_ERR_UNAVAILABLE || code == RK_ERR_TIMEOUT || code == RK_ERR_PEER_GONE; }

}  // namespace

ClientKills::ClientKills(RingFixture& ring, std::uint64_t seed) : ring_(ring), seed_(seed), prng_(seed) {
  auto memory = shm::MemoryFile::create("kill-board", shm::round_up_to_page(sizeof(KillBoard)));
  if (!memory) throw std::runtime_error(memory.error().message);
  memory_ = std::move(*memory);
  auto mapping = shm::Mapping::map(memory_, shm::Access::kReadWrite);
  if (!mapping) throw std::runtime_error(mapping.error().message);
  mapping_ = std::move(*mapping);
  const auto status = ring.status(1);
  if (!status) throw std::runtime_error(status.error().message);
  for (std::uint32_t node = 1; node <= status->members.size(); ++node) at_first_.push_back(holding(node));
  for (std::size_t phase = 0; phase < static_cast<std::size_t>(Phase::ended); ++phase)
    facts_.phases[kPhaseNames[phase]];
}

ClientKills::~ClientKills() {
  if (writer_ <= 0) return;
  ::kill(writer_, SIGKILL);
  ::waitpid(writer_, nullptr, 0);
}

void ClientKills::create_job() {
  launcher_ = ring_.client(1).value();
  const auto created = launcher_->ask<wire::Done>(wire::JobCreate{JobId(kJob), {CommunityId(0)}, kLogLimit});
  if (!created) fail("no job: " + created.error().message);
}

void ClientKills::fail(const std::string& what) { wrong_.push_back(what); }

void ClientKills::start(const Life& life) {
  board().phase = Phase::starting;
  board().reported = 0;
  board().words = {};
  board().marks.all = 0;
  board().marks.last = 0;
  for (auto& count : board().marks.of) count = 0;
  marked_ = life.marked;
  std::vector<std::pair<std::string, std::string>> variables{{"RINGKEEP_DIE_AT", life.die_at}};
  if (launcher_) next_job_life(variables);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  ready_ = shm::Descriptor(ends[0]);
  const shm::Descriptor says_ready(ends[1]);
  const std::string program = life.marked ? KILL_WRITER_MARKED_PATH : KILL_WRITER_PATH;
  std::vector<std::string> words{program,
                                 ring_.socket(life.node),
                                 std::to_string(memory_.descriptor()),
                                 std::to_string(says_ready.get()),
                                 std::to_string(seed_),
                                 life.way,
                                 std::to_string(life.steps)};
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  writer_ = ::fork();
  if (writer_ < 0) throw std::runtime_error("fork");
  if (writer_ > 0) return;
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  ::fcntl(memory_.descriptor(), F_SETFD, 0);
  ::fcntl(says_ready.get(), F_SETFD, 0);
  ::execv(program.c_str(), arguments.data());
  ::_exit(127);
}

// The launcher's part: the life before is fenced, the next one has its place in the environment.
void ClientKills::next_job_life(std::vector<std::pair<std::string, std::string>>& variables) {
  char job[17];
  std::snprintf(job, sizeof job, "%016llx", static_cast<unsigned long long>(kJob));
  ++job_life_;
  const auto fenced =
      launcher_->ask<wire::Done>(wire::JobFence{JobId(kJob), CommunityId(0)}, nullptr, Incarnation(job_life_));
  if (!fenced) fail("the life before is not fenced: " + fenced.error().message);
  variables.insert(variables.end(), {{wire::kEnvSocket, ring_.socket(1)},
                                     {wire::kEnvJob, job},
                                     {wire::kEnvRank, "0"},
                                     {wire::kEnvCommunities, "0"},
                                     {wire::kEnvIncarnation, std::to_string(job_life_)},
                                     {wire::kEnvOptions, "spin=0"}});
}

// Connected, or gone.
bool ClientKills::await_ready() {
  pollfd item{ready_.get(), POLLIN, 0};
  if (::poll(&item, 1, kPatienceMs) == 1) return true;
  fail("a client neither connects nor ends");
  return false;
}

// Exit code, or minus the signal.
int ClientKills::end() {
  int status = 0;
  ::waitpid(writer_, &status, 0);
  writer_ = -1;
  absorb();
  const bool refused = std::string(board().words.data()).find("unavailable") != std::string::npos;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kGaveUp && refused && refusals_allowed_) return -SIGKILL;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kGaveUp)
    fail("a client gave up: " + std::string(board().words.data()));
  else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    fail("a client ended with " + std::to_string(WEXITSTATUS(status)));
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void ClientKills::kill_at_random(std::optional<Way> way, std::uint32_t node) {
  start({node, prng_.chance(1, 2), way ? kWayNames[static_cast<std::size_t>(*way)] : "any", 0, {}});
  if (prng_.chance(1, 8)) {
    sleep_us(prng_.below(kStartUs));
  } else if (await_ready()) {
    sleep_us(prng_.below(kLifeUs));
  }
  ::kill(writer_, SIGKILL);
  const int ended = end();
  if (ended != -SIGKILL) {
    if (ended == 0) fail("a client ended although it was to go on");
    return;
  }
  ++facts_.kills;
  ++facts_.phases[kPhaseNames.at(static_cast<std::size_t>(board().phase.load()))];
  if (marked_) {
    const std::uint32_t last = board().marks.last;
    ++facts_.marks[last == 0 ? "none" : client::kMarkNames.at(last - 1)];
  }
}

bool ClientKills::run(Way way, std::uint64_t steps, const std::string& die_at) {
  start({1, true, kWayNames[static_cast<std::size_t>(way)], steps, die_at});
  const int ended = end();
  if (ended == -SIGKILL) {
    ++facts_.kills;
    return true;
  }
  if (ended < 0) fail("a client ended by signal " + std::to_string(-ended));
  return false;
}

// The OKs that it was given.
void ClientKills::absorb() {
  for (std::uint32_t i = 0; i < board().reported; ++i) {
    const KillReport& report = board().reports[i];
    note(report.name, report.attempt, report.version, report.restored);
    if (report.restored)
      ++facts_.restored;
    else
      ++facts_.oks;
  }
}

// `found`: it was read, not confirmed: it must be what was confirmed last or newer.
void ClientKills::note(std::uint32_t name, std::uint64_t attempt, std::uint64_t version, bool found) {
  auto& committed = names_[name].committed;
  const std::string what = "attempt " + std::to_string(attempt) + " at name " + std::to_string(name) + " is version " +
                           std::to_string(version);
  if (attempt == 0 || attempt > board().begun[name]) return fail(what + ", and nobody began it");
  const auto [at, fresh] = committed.emplace(attempt, version);
  if (!fresh && at->second != version) return fail(what + ", and was " + std::to_string(at->second));
  if (at != committed.begin() && std::prev(at)->second >= version)
    fail(what + ", and attempt " + std::to_string(std::prev(at)->first) + " " + std::to_string(std::prev(at)->second));
  if (std::next(at) != committed.end() && std::next(at)->second <= version)
    fail(what + ", and attempt " + std::to_string(std::next(at)->first) + " " + std::to_string(std::next(at)->second));
  if (found && std::next(at) != committed.end())
    fail(what + " and the newest that is found, after attempt " + std::to_string(committed.rbegin()->first) +
         " was committed");
  if (found && fresh) ++facts_.unknown_committed;
  while (committed.size() > kRememberedCommitted) committed.erase(committed.begin());
}

// Whose content this is: of an attempt that is known to be that version, or of one without an outcome that may be.
std::optional<std::uint64_t> ClientKills::attempt_of(std::uint32_t name, const Found& found) const {
  const auto& committed = names_[name].committed;
  std::uint64_t first = 1;
  std::uint64_t last = board().begun[name];
  for (const auto& [attempt, version] : committed) {
    if (version <= found.version) first = attempt;
    if (version >= found.version) last = std::min(last, attempt);
  }
  if (last >= kRemembered) first = std::max(first, last - kRemembered + 1);
  for (std::uint64_t attempt = first; attempt <= last; ++attempt) {
    const Way way = board().ways[name][attempt % kRemembered];
    const auto known = committed.find(attempt);
    if (way == Way::abandon || (known != committed.end() && known->second != found.version)) continue;
    if (kill_content(seed_, name, attempt, way) == found.sections) return attempt;
  }
  return std::nullopt;
}

Result<ClientKills::Found> ClientKills::read(rk_client* client, const std::string& name, std::uint64_t version) {
  rk_reader* reader = nullptr;
  if (const int code = rk_read(client, name.c_str(), version, &reader); code != RK_OK)
    return rk::fail(static_cast<ErrorCode>(code), rk_last_error());
  Found found{rk_reader_version(reader), {}};
  std::array<rk_section, 8> sections;
  size_t count = 0;
  rk_reader_sections(reader, sections.data(), sections.size(), &count);
  for (size_t i = 0; i < std::min(count, sections.size()); ++i) {
    const void* data = nullptr;
    size_t size = 0;
    rk_reader_section(reader, sections[i].name, &data, &size);
    found.sections.emplace_back(sections[i].name, std::string(static_cast<const char*>(data), size));
  }
  rk_reader_close(reader);
  return found;
}

void ClientKills::judge() {
  // A job judges itself when it restores: what it found is among the reports.
  if (launcher_) return;
  const Client near(ring_.socket(1));
  const bool also_far = prng_.chance(1, 8);
  for (std::uint32_t name = 0; name < kKillNames; ++name) {
    if (board().begun[name] == names_[name].looked_at) continue;
    judge_name(near.handle, name, 1);
    judge_kept(near.handle, name);
    if (also_far) {
      const Client far(ring_.socket(2));
      judge_name(far.handle, name, 2);
    }
    if (prng_.chance(1, 2)) commit(near.handle, name);
    names_[name].looked_at = board().begun[name];
  }
}

void ClientKills::judge_name(rk_client* client, std::uint32_t name, std::uint32_t node) {
  const std::string what = kill_name(name) + " at server " + std::to_string(node);
  auto& committed = names_[name].committed;
  std::optional<Result<Found>> found;
  const bool answered = await([&] {
    found = read(client, kill_name(name), 0);
    return *found || !passes(static_cast<int>(found->error().code));
  });
  if (!answered || !*found) {
    const Error error = found->error();
    if (error.code != ErrorCode::kNotFound || !committed.empty())
      fail(what + " cannot be read after " + std::to_string(committed.size()) + " commits: " + error.message);
    return;
  }
  if (!committed.empty() && (*found)->version < committed.rbegin()->second)
    return fail(what + " has version " + std::to_string((*found)->version) + " as its newest, after version " +
                std::to_string(committed.rbegin()->second) + " was OK");
  const auto attempt = attempt_of(name, **found);
  if (!attempt)
    return fail(what + " has in version " + std::to_string((*found)->version) +
                " the bytes of no attempt that may be " + "it (attempts: " + std::to_string(board().begun[name]) + ")");
  note(name, *attempt, (*found)->version, true);
}

// Of two committed versions, two are kept: as long as none comes, the older one is read too.
void ClientKills::judge_kept(rk_client* client, std::uint32_t name) {
  const auto& committed = names_[name].committed;
  if (committed.size() < 2) return;
  const std::uint64_t owed = std::next(committed.rbegin())->second;
  const bool read_back = await([&] {
    if (!asker_) {
      if (auto connected = ring_.client(1); connected) asker_ = std::move(*connected);
      if (!asker_) return false;
    }
    const auto inspected = asker_->ask<wire::CheckpointInspected>(wire::CheckpointInspect{kill_name(name)});
    if (!inspected) {
      asker_.reset();
      return false;
    }
    if (inspected->versions.size() < 2) {
      fail(kill_name(name) + " has " + std::to_string(inspected->versions.size()) + " versions that can be read");
      return true;
    }
    const std::uint64_t older = (inspected->versions.end() - 2)->version.value;
    if (older < owed) {
      fail(kill_name(name) + " has version " + std::to_string(older) + " before its newest, and " +
           std::to_string(owed) + " was committed");
      return true;
    }
    const auto found = read(client, kill_name(name), older);
    if (!found) return found.error().code != ErrorCode::kNotFound && !passes(static_cast<int>(found.error().code));
    if (!attempt_of(name, *found))
      fail(kill_name(name) + " has in its older version " + std::to_string(older) + " the bytes of no attempt");
    return true;
  });
  if (!read_back) fail(kill_name(name) + " cannot be inspected, or its older version not be read");
}

// By whoever comes next, while what the dead one began may be under way.
void ClientKills::commit(rk_client* client, std::uint32_t name) {
  const std::uint64_t attempt = board().begun[name] + 1;
  const Way way = prng_.chance(1, 4) ? Way::put_large : Way::put;
  board().ways[name][attempt % kRemembered] = way;
  board().begun[name] = attempt;
  const std::string bytes = kill_content(seed_, name, attempt, way)[0].second;
  std::uint64_t version = 0;
  if (rk_put(client, kill_name(name).c_str(), bytes.data(), bytes.size(), &version) != RK_OK)
    return fail("the next writer of " + kill_name(name) + " cannot commit: " + rk_last_error());
  note(name, attempt, version, false);
}

void ClientKills::commit_all() {
  const Client client(ring_.socket(1));
  for (std::uint32_t name = 0; name < kKillNames; ++name) commit(client.handle, name);
}

ClientKills::Holding ClientKills::holding(std::uint32_t node) {
  Holding holding;
  if (const auto status = ring_.status(node); status) holding.used_bytes = status->used_bytes;
  holding.descriptors = descriptors_of(ring_.server(node).pid());
  const std::string number = std::to_string(node);
  for (const pid_t pid : processes_of("ringkeepd-hold", ring_.directory() + "/" + number + "/"))
    holding.beside += descriptors_of(pid);
  for (const pid_t pid : processes_of("ringkeepd-guard", ring_.directory() + "/output-" + number))
    holding.beside += descriptors_of(pid);
  return holding;
}

// Memory that is only warm is given back for it.
void ClientKills::begin_all_memory(std::uint32_t node) {
  const Client client(ring_.socket(node));
  const auto status = ring_.status(node);
  if (!status) return fail("no status: " + status.error().message);
  const std::uint64_t size = (status->budget_bytes - at_first_.at(node - 1).used_bytes) / 4096 * 4096;
  const rk_section section{"data", size};
  const std::string name = "kills/all/" + std::to_string(node);
  std::string words;
  const bool begun = await([&] {
    rk_writer* writer = nullptr;
    const int code = rk_begin(client.handle, name.c_str(), &section, 1, &writer);
    words = rk_last_error();
    rk_abandon(writer);
    return code == RK_OK;
  });
  if (!begun) fail("server " + std::to_string(node) + " has not all of its memory back: " + words);
}

void ClientKills::settle() {
  launcher_.reset();
  asker_.reset();
  if (!wrong_.empty()) return;  // what is left then says nothing
  {
    const Client client(ring_.socket(1));
    for (std::uint32_t name = 0; name < kKillNames; ++name)
      if (const int code = rk_delete(client.handle, kill_name(name).c_str());
          code != RK_OK && !(code == RK_ERR_NOT_FOUND && names_[name].committed.empty()))
        fail(kill_name(name) + " cannot be removed: " + rk_last_error());
  }
  for (std::uint32_t node = 1; node <= at_first_.size(); ++node) {
    if (!ring_.server(node).running()) return fail("server " + std::to_string(node) + " has ended");
    begin_all_memory(node);
  }
  for (std::uint32_t node = 1; node <= at_first_.size(); ++node) {
    Holding now;
    const Holding& before = at_first_.at(node - 1);
    if (!await([&] { return (now = holding(node)) == before; }))
      fail("server " + std::to_string(node) + " holds " + std::to_string(now.used_bytes) + " bytes and " +
           std::to_string(now.descriptors) + " descriptors, its holder and guard " + std::to_string(now.beside) +
           "; at first " + std::to_string(before.used_bytes) + ", " + std::to_string(before.descriptors) + ", " +
           std::to_string(before.beside));
  }
  for (Name& name : names_) name.committed.clear();
}

}  // namespace rk::testing
