// SPDX-License-Identifier: Apache-2.0
#include "launch/service_agent.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "client/checkpoint.h"
#include "launch/mpirun.h"
#include "launch/programs.h"
#include "launch/spawn.h"
#include "wire/control_messages.h"

namespace rk::launch {
namespace {

namespace service = recovery::service;

constexpr std::uint32_t kAnswerMs = 5000;  // of the server: a claim may wait for the end of a lease
constexpr int kSweepLimitMs = 8000;
constexpr int kNotStarted = 71;  // EX_OSERR

std::string random_run() {
  std::uint64_t value = 0;
  while (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) continue;
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, value);
  return text;
}

Result<std::unique_ptr<client::Connection>> open_link(const std::string& socket, const std::string& name) {
  client::ConnectOptions options;
  options.socket_path = socket;
  options.program = "ringkeep run --service " + name;
  options.timeout_ms = kAnswerMs;
  return client::Connection::open(options);
}

bool is_same_file(const shm::Descriptor& held, const std::string& path) {
  struct stat here {};
  struct stat there {};
  return held && ::fstat(held.get(), &here) == 0 && ::lstat(path.c_str(), &there) == 0 && here.st_ino == there.st_ino &&
         here.st_dev == there.st_dev;
}

// Another name of the same socket would be another service to whoever looks for leftovers.
std::string real_path(const std::string& socket) {
  const std::size_t slash = socket.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : socket.substr(0, std::max<std::size_t>(slash, 1));
  char* const real = ::realpath(folder.c_str(), nullptr);
  if (real == nullptr) return socket;
  std::string out = std::string(real) + "/" + socket.substr(slash == std::string::npos ? 0 : slash + 1);
  std::free(real);
  return out;
}

}  // namespace

Status check_service_name(const std::string& name) {
  const bool allowed = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
  if (allowed && !name.empty() && name.size() <= kMaxServiceNameBytes) return {};
  return fail(ErrorCode::kInvalidArgument, "'" + name + "' is no name of a service: --service takes 1 to " +
                                               std::to_string(kMaxServiceNameBytes) + " letters, digits and -_.");
}

ServiceAgent::ServiceAgent(ServiceOptions options)
    : options_(std::move(options)), run_(random_run()), agent_([this] {
        service::Config config;
        config.name = options_.name;
        config.max_restarts = options_.max_restarts;
        return config;
      }()) {}

ServiceAgent::~ServiceAgent() = default;

std::string ServiceAgent::run_entry() const { return std::string(kEnvServiceRun) + "=" + run_; }

Result<std::unique_ptr<ServiceAgent>> ServiceAgent::make(ServiceOptions options) {
  RK_TRY_VOID(check_service_name(options.name));
  if (options.program.empty()) return fail(ErrorCode::kInvalidArgument, "no program is given: write it after --");
  std::unique_ptr<ServiceAgent> agent(new ServiceAgent(std::move(options)));
  RK_TRY(agent->program_, find_program(agent->options_.program[0]));
  RK_TRY(agent->self_, own_executable());
  RK_TRY(Guard guard, Guard::start({{agent->run_entry()}, {}, {}}));
  agent->guard_.emplace(std::move(guard));
  return agent;
}

Result<int> ServiceAgent::run() {
  RK_TRY(Signals signals, Signals::start(
                              loop_, [this](pid_t pid, int status) { on_child(pid, status); },
                              [this](int number) { on_signal(number); }));
  signals_.emplace(std::move(signals));
  feed(service::Begin{});
  while (!end_) loop_.turn();
  hang_up();
  return *end_;
}

void ServiceAgent::feed(service::What what) {
  events_.push_back(std::move(what));
  if (working_) return;  // an effect's own event waits for its turn
  working_ = true;
  while (!events_.empty()) {
    const service::What next = std::move(events_.front());
    events_.pop_front();
    service::Effects effects;
    agent_.step(loop_.now_ms(), next, effects);
    for (const service::Effect& effect : effects) carry_out(effect);
  }
  working_ = false;
}

void ServiceAgent::carry_out(const service::Effect& effect) {
  std::visit([this](const auto& one) { carry_out(one); }, effect);
}

// --- the server ---

void ServiceAgent::carry_out(const service::Connect&) {
  hang_up();
  if (const Status there = connect(); !there) {
    hang_up();
    return feed(service::Unreached{there.error().message});
  }
  feed(service::Reached{link_->server().node, link_->server().incarnation});
}

// What happens to the ring after this is heard, so a look that follows misses nothing.
Status ServiceAgent::connect() {
  options_.socket = real_path(options_.socket);
  RK_TRY(link_, open_link(options_.socket, options_.name));
  RK_TRY_VOID(take_lock());
  RK_TRY(ring_, open_link(options_.socket, options_.name));
  RK_TRY_VOID(ring_->begin(wire::EventsSubscribe{true}));
  loop_.watch(link_->descriptor(), POLLIN, [this](short) { on_link(); });
  loop_.watch(ring_->descriptor(), POLLIN, [this](short) { on_events(); });
  return {};
}

Status ServiceAgent::take_lock() {
  const std::string path =
      options_.socket.substr(0, options_.socket.rfind('/') + 1) + "service-" + options_.name + ".lock";
  if (is_same_file(lock_, path)) return {};
  lock_ = shm::Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_) return fail_errno("open " + path, errno);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0 || !is_same_file(lock_, path)) {
    lock_.reset();
    return fail(ErrorCode::kExists, "another agent of it runs at the server at " + options_.socket);
  }
  const std::vector<std::string> left = {std::string(kEnvService) + "=" + options_.name,
                                         std::string(wire::kEnvSocket) + "=" + options_.socket};
  if (kill_all_with(left, kSweepLimitMs)) return {};
  lock_.reset();
  return fail(ErrorCode::kIo, "processes of an earlier agent of it do not end");
}

void ServiceAgent::hang_up() {
  for (std::unique_ptr<client::Connection>* connection : {&link_, &ring_}) {
    if (*connection) loop_.unwatch((*connection)->descriptor());
    connection->reset();
  }
}

void ServiceAgent::lose_server(const Error& error) {
  hang_up();
  feed(service::ServerLost{error.message});
}

void ServiceAgent::carry_out(const service::Look&) {
  if (!link_) return;  // its loss is on its way
  if (link_->begun()) return;
  if (const Status asked = link_->begin(wire::CheckpointInspect{record_name()}); !asked) lose_server(asked.error());
}

void ServiceAgent::on_link() {
  if (!link_->begun()) {
    if (const auto notices = link_->take_notices(); !notices) lose_server(notices.error());
    return;
  }
  const auto answer = link_->poll_answer<wire::CheckpointInspected>();
  if (!answer && link_->broken()) return lose_server(answer.error());
  if (!answer && answer.error().code == ErrorCode::kNotFound) return feed(service::Found{false, false, {}, false});
  if (!answer) return feed(service::LookFailed{answer.error().message});
  if (!*answer) return;
  const wire::CheckpointInspected& seen = **answer;
  service::Found found;
  if (!seen.versions.empty()) {
    const auto& holders = seen.versions.back().holders;
    found.holds = std::find(holders.begin(), holders.end(), link_->server().node) != holders.end();
  }
  if (const Status read = read_record(found); !read) {
    if (link_->broken()) return lose_server(read.error());
    return feed(service::LookFailed{read.error().message});
  }
  feed(found);
}

// Who has committed it, and whether that server is still there.
Status ServiceAgent::read_record(service::Found& found) {
  const auto reader = client::Reader::open(*link_, record_name(), {});
  const bool gone = !reader && (reader.error().code == ErrorCode::kLost || reader.error().code == ErrorCode::kNotFound);
  if (gone) return {};
  if (!reader) return tl::unexpected(reader.error());
  const auto bytes = reader->section("data");
  if (!bytes) return {};
  found.record = service::parse_record({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  RK_TRY(const auto status, link_->call<wire::StatusAnswer>(wire::StatusQuery{}));
  found.is_member = std::any_of(status.members.begin(), status.members.end(), [&](const wire::MemberStatus& member) {
    return found.record && member.node == found.record->server && member.incarnation == found.record->incarnation;
  });
  return {};
}

void ServiceAgent::on_events() {
  bool changed = false;
  for (;;) {
    const auto event = ring_->poll_item<wire::ServerEvent>();
    if (!event) return lose_server(event.error());
    if (!*event) break;
    changed = changed || (*event)->event == "view_installed" || (*event)->event == "unwedged";
  }
  if (changed) feed(service::RingChanged{});
}

Result<Version> ServiceAgent::commit_record(bool active) {
  const wire::ServerHello& server = link_->server();
  const std::string text = service::to_text(
      {options_.name, active, server.node, server.incarnation, static_cast<std::uint64_t>(::getpid())});
  RK_TRY(client::Writer writer, client::Writer::begin(*link_, record_name(), {{"data", text.size()}}));
  RK_TRY(const auto place, writer.section("data"));
  std::memcpy(place.data(), text.data(), text.size());
  RK_TRY(const client::Committed committed, writer.commit(wire::CommitLevel::kReplicated));
  return committed.version;
}

void ServiceAgent::carry_out(const service::Claim&) {
  if (!link_) return;
  const auto epoch = commit_record(true);
  if (epoch) return feed(service::Claimed{*epoch});
  if (link_->broken()) return lose_server(epoch.error());
  feed(service::ClaimFailed{epoch.error().message});
}

void ServiceAgent::carry_out(const service::Release&) {
  if (!link_) return;
  // The record is for people; who is active next commits it anew.
  if (const auto released = commit_record(false); !released && !options_.quiet)
    std::fprintf(stderr, "ringkeep: service %s: its record still says active: %s\n", options_.name.c_str(),
                 released.error().message.c_str());
}

// --- the program ---

void ServiceAgent::carry_out(const service::Start& effect) {
  if (const Status started = start_program(effect.epoch); !started) {
    std::fprintf(stderr, "ringkeep: %s\n", started.error().message.c_str());
    feed(service::ProgramEnded{kNotStarted});
  }
}

Status ServiceAgent::start_program(Version epoch) {
  SpawnRequest request;
  request.arguments = {self_, "keep-service", "--", program_};
  request.arguments.insert(request.arguments.end(), options_.program.begin() + 1, options_.program.end());
  request.environment = environment_with({{kEnvService, options_.name},
                                          {kEnvServiceEpoch, std::to_string(epoch.value)},
                                          {kEnvServiceRun, run_},
                                          {wire::kEnvSocket, options_.socket}});
  request.output = STDOUT_FILENO;
  request.error = STDERR_FILENO;
  RK_TRY(keeper_, spawn(request));
  return {};
}

void ServiceAgent::carry_out(const service::Terminate&) {
  if (keeper_ > 0) ::kill(keeper_, SIGTERM);
}

void ServiceAgent::carry_out(const service::Kill&) {
  if (keeper_ > 0) ::kill(keeper_, SIGKILL);
}

// What the program has started ends with it, before another life of it begins.
void ServiceAgent::on_child(pid_t pid, int status) {
  if (pid != keeper_) return;
  keeper_ = 0;
  status_ = exit_status_of(status);
  killer_ = std::make_unique<Killer>(loop_, std::vector<std::string>{run_entry()}, [this] {
    killer_.reset();
    feed(service::ProgramEnded{status_});
  });
}

void ServiceAgent::on_signal(int number) {
  if (number == SIGUSR1 || number == SIGUSR2) {
    if (keeper_ > 0) ::kill(keeper_, number);
    return;
  }
  if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT) feed(service::Stop{});
}

// --- time, words, the end ---

void ServiceAgent::carry_out(const service::SetTimer& effect) {
  loop_.cancel(timer_);
  timer_ = loop_.after(effect.delay_ms, [this, id = effect.timer] { feed(service::Due{id}); });
}

void ServiceAgent::carry_out(const service::Say& effect) {
  if (!options_.quiet) std::fprintf(stderr, "ringkeep: %s\n", effect.line.c_str());
}

void ServiceAgent::carry_out(const service::End& effect) { end_ = effect.status; }

}  // namespace rk::launch
