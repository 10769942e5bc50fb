// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/run_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <sstream>

#include "launch/directories.h"
#include "launch/mpirun.h"
#include "launch/processes.h"
#include "launch/spawn.h"

namespace rk::testing {
namespace {

constexpr int kPatienceMs = 120000;
constexpr int kLeftOverMs = 10000;

std::uint64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

// Looks until `there` is true, at most `limit_ms`.
bool await_for(const std::function<bool()>& there, int limit_ms) {
  const std::uint64_t due = now_ms() + static_cast<std::uint64_t>(limit_ms);
  while (!there()) {
    if (now_ms() >= due) return false;
    ::poll(nullptr, 0, 5);
  }
  return true;
}

}  // namespace

bool await(const std::function<bool()>& there) { return await_for(there, kPatienceMs); }

std::vector<std::string> entries_of(const std::string& folder) {
  std::vector<std::string> out;
  DIR* directory = ::opendir(folder.c_str());
  if (directory == nullptr) return out;
  while (const dirent* item = ::readdir(directory))
    if (std::string(item->d_name) != "." && std::string(item->d_name) != "..") out.emplace_back(item->d_name);
  ::closedir(directory);
  return out;
}

void RunFixture::SetUp() {
  folder_ = "/tmp/rkrun-XXXXXX";
  ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
  ASSERT_EQ(::mkdir((folder_ + "/tmp").c_str(), 0700), 0);
  mark_ = folder_.substr(folder_.rfind('/') + 1);
  environment_ = {{"RINGKEEP_TEST_MARK", mark_}, {"TMPDIR", folder_ + "/tmp"}};
}

void RunFixture::TearDown() {
  launch::kill_all_with({mark_entry()}, kLeftOverMs);
  if (launcher_ > 0) ::waitpid(launcher_, nullptr, 0);
  for (const std::string& root : roots_) launch::remove_tree("/dev/shm/" + root);
  launch::remove_tree(folder_);
}

std::string RunFixture::mark_entry() const { return "RINGKEEP_TEST_MARK=" + mark_; }
std::string RunFixture::program() { return RINGKEEP_RUN_PROGRAM; }
std::string RunFixture::mpich_program() { return RINGKEEP_RUN_PROGRAM_MPICH; }

std::string RunFixture::text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

std::vector<std::string> RunFixture::job(int ranks, int communities, std::vector<std::string> program_and_arguments,
                                         std::vector<std::string> options) {
  std::vector<std::string> out = {
      "run", "-n", std::to_string(ranks), "--communities", std::to_string(communities), "--servers", "1", "--embedded"};
  out.insert(out.end(), options.begin(), options.end());
  out.emplace_back("--");
  out.insert(out.end(), program_and_arguments.begin(), program_and_arguments.end());
  return out;
}

void RunFixture::start(std::vector<std::string> arguments, const std::string& input) {
  launch::SpawnRequest request;
  request.arguments = {RINGKEEP_COMMAND};
  request.arguments.insert(request.arguments.end(), arguments.begin(), arguments.end());
  request.environment = launch::environment_with(environment_, {"RINGKEEP_SOCKET", "RINGKEEP_JOB"});
  request.own_session = true;
  std::ofstream(folder_ + "/in") << input;
  const int flags = O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC;
  const shm::Descriptor out(::open((folder_ + "/out").c_str(), flags, 0600));
  const shm::Descriptor err(::open((folder_ + "/err").c_str(), flags, 0600));
  const shm::Descriptor in(::open((folder_ + "/in").c_str(), O_RDONLY | O_CLOEXEC));
  request.output = out.get();
  request.error = err.get();
  if (!input.empty()) request.input = in.get();
  const auto pid = launch::spawn(request);
  ASSERT_TRUE(pid) << pid.error().message;
  launcher_ = *pid;
}

Ended RunFixture::finish() {
  Ended ended;
  const shm::Descriptor process = launch::open_process(launcher_);
  pollfd wait{process.get(), POLLIN, 0};
  if (::poll(&wait, 1, kPatienceMs) != 1) {
    ADD_FAILURE() << "the command does not end";
    ::kill(launcher_, SIGKILL);
  }
  int status = 0;
  ::waitpid(launcher_, &status, 0);
  launcher_ = 0;
  ended.status = launch::exit_status_of(status);
  ended.out = text_of(folder_ + "/out");
  ended.err = text_of(folder_ + "/err");
  return ended;
}

void RunFixture::await_output(const std::string& text) {
  ASSERT_TRUE(await([&] { return text_of(folder_ + "/out").find(text) != std::string::npos; }))
      << text_of(folder_ + "/err");
  for (const std::string& name : entries_of(folder_ + "/tmp")) roots_.push_back(name);
}

bool RunFixture::is_there(const std::string& private_directory) const {
  const auto exists = [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; };
  return !private_directory.empty() && exists(folder_ + "/tmp/" + private_directory) &&
         exists("/dev/shm/" + private_directory);
}

bool RunFixture::any_process(const std::string& name) const {
  for (const pid_t pid : launch::processes_with({mark_entry()}))
    if (text_of("/proc/" + std::to_string(pid) + "/comm") == name + "\n") return true;
  return false;
}

std::vector<pid_t> RunFixture::await_processes(const std::string& name) {
  std::vector<pid_t> found;
  EXPECT_TRUE(await([&] {
    for (const pid_t pid : launch::processes_with({mark_entry()}))
      if (text_of("/proc/" + std::to_string(pid) + "/comm") == name + "\n") found.push_back(pid);
    return !found.empty();
  })) << name;
  return found;
}

std::vector<std::string> RunFixture::left_over() const {
  std::vector<std::string> left;
  for (const pid_t pid : launch::processes_with({mark_entry()})) {
    if (pid == launcher_ || std::find(spared_.begin(), spared_.end(), pid) != spared_.end()) continue;
    left.push_back("process " + std::to_string(pid) + " " + text_of("/proc/" + std::to_string(pid) + "/comm"));
  }
  for (const std::string& name : entries_of(folder_ + "/tmp")) left.push_back("file " + name);
  for (const std::string& name : entries_of("/dev/shm"))
    if (std::find(roots_.begin(), roots_.end(), name) != roots_.end()) left.push_back("/dev/shm/" + name);
  return left;
}

void RunFixture::expect_nothing_left() {
  std::string left;
  const bool clean = await_for(
      [&] {
        left.clear();
        for (const std::string& one : left_over()) left += one + "\n";
        return left.empty();
      },
      kLeftOverMs);
  EXPECT_TRUE(clean) << left;
}

}  // namespace rk::testing
