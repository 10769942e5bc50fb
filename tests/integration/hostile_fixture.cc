// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/hostile_fixture.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ringkeep/ringkeep.h"

namespace rk::testing {
namespace {

constexpr std::uint32_t kTimeoutMs = kPatienceMs;

// How much memory is kept warm depends on what meets what: so much may differ. An attack that leaves a descriptor or a
// version behind each time leaves more.
constexpr std::size_t kWarmDescriptors = 6;
constexpr std::uint64_t kWarmBytes = std::uint64_t{4} << 20U;

std::string content(const std::string& name, std::uint64_t number) {
  std::string out = name + " " + std::to_string(number) + " ";
  out.resize(number % 3 == 0 ? 200'000 : 1'000, static_cast<char>('a' + number % 26));
  return out;
}

std::string said(const char* what) { return std::string(what) + ": " + rk_last_error(); }

}  // namespace

Honest::Honest(const std::string& socket, std::string name) : name_(std::move(name)) {
  thread_ = std::thread([this, socket] { run(socket); });
}

Honest::~Honest() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    resting_ = false;
  }
  changed_.notify_all();
  thread_.join();
}

void Honest::run(const std::string& socket) {
  rk_client* client = nullptr;
  const rk_options options{sizeof(rk_options), socket.c_str(), "honest", kTimeoutMs, 0};
  std::string trouble;
  if (rk_open(&options, &client) != RK_OK) trouble = said("open");
  for (std::uint64_t number = 1; trouble.empty(); ++number) {
    trouble = round(client, number);
    std::unique_lock lock(mutex_);
    if (trouble.empty()) ++rounds_;
    rests_ = resting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !resting_ || ending_; });
    rests_ = false;
    if (ending_) break;
  }
  rk_close(client);
  const std::lock_guard lock(mutex_);
  trouble_ = trouble;
  changed_.notify_all();
}

std::string Honest::round(void* handle, std::uint64_t number) {
  auto* client = static_cast<rk_client*>(handle);
  const std::string bytes = content(name_, number);
  std::uint64_t version = 0;
  if (rk_put(client, name_.c_str(), bytes.data(), bytes.size(), &version) != RK_OK) return said("commit");
  rk_reader* reader = nullptr;
  if (rk_read(client, name_.c_str(), 0, &reader) != RK_OK) return said("read");
  const void* data = nullptr;
  std::size_t size = 0;
  std::string wrong;
  if (rk_reader_section(reader, "data", &data, &size) != RK_OK)
    wrong = said("section");
  else if (rk_reader_version(reader) != version || std::string_view(static_cast<const char*>(data), size) != bytes)
    wrong = "version " + std::to_string(rk_reader_version(reader)) + " was read where " + std::to_string(version) +
            " was committed, or other bytes";
  rk_reader_close(reader);
  return wrong;
}

std::uint64_t Honest::rounds() {
  const std::lock_guard lock(mutex_);
  return rounds_;
}

std::string Honest::trouble() {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

bool Honest::serves(std::uint64_t count) {
  std::unique_lock lock(mutex_);
  const std::uint64_t goal = rounds_ + count + 1;  // the one that is under way began before
  return changed_.wait_for(lock, std::chrono::milliseconds(kPatienceMs), [&] {
    return rounds_ >= goal || !trouble_.empty();
  }) && trouble_.empty();
}

void Honest::rest() {
  std::unique_lock lock(mutex_);
  resting_ = true;
  changed_.wait_for(lock, std::chrono::milliseconds(kPatienceMs), [this] { return rests_ || !trouble_.empty(); });
}

void Honest::go_on() {
  {
    const std::lock_guard lock(mutex_);
    resting_ = false;
  }
  changed_.notify_all();
}

HostileRing::HostileRing(RingFixture::Options options) : ring_(std::move(options)) {
  for (std::uint32_t node = 1; node <= 2; ++node)
    honest_.push_back(std::make_unique<Honest>(ring_.socket(node), "honest/" + std::to_string(node)));
}

std::size_t descriptors_of(pid_t pid) {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd", error);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// What an attack has committed, under whatever names.
void HostileRing::remove_leftovers() {
  TestClient cleaner = client();
  std::string after;
  do {
    const auto page = cleaner.ask<wire::CheckpointListAnswer>(wire::CheckpointList{"", after});
    ASSERT_TRUE(page) << page.error().message;
    for (const wire::CheckpointEntry& entry : page->entries)
      if (!entry.name.starts_with("honest/")) {
        const auto removed = cleaner.ask<wire::Done>(wire::CheckpointDelete{entry.name});
        EXPECT_TRUE(removed) << removed.error().message;
      }
    after = page->next;
  } while (!after.empty());
}

Held HostileRing::held() {
  const auto status = ring_.status(1);
  EXPECT_TRUE(status) << status.error().message;
  return {descriptors_of(ring_.server(1).pid()), status->used_bytes, status->checkpoints};
}

std::size_t HostileRing::log_lines(const std::string& words) {
  std::istringstream lines(ring_.server(1).output());
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) count += line.find(words) != std::string::npos ? 1U : 0U;
  return count;
}

void HostileRing::expect_the_same_ring(ViewNumber view) {
  const auto status = ring_.status(1);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->view, view) << "the attack has changed the ring";
  EXPECT_EQ(status->state, "serving");
  for (std::uint32_t node = 1; node <= honest_.size(); ++node) EXPECT_TRUE(ring_.server(node).running()) << node;
}

void HostileRing::attack(const std::function<void()>& once, int times, int warm_ups) {
  const auto all_serve = [this] {
    for (const auto& honest : honest_) EXPECT_TRUE(honest->serves()) << honest->trouble();
  };
  all_serve();
  const auto view = ring_.status(1)->view;
  for (int i = 0; i < warm_ups; ++i) once();
  all_serve();
  for (const auto& honest : honest_) honest->rest();
  remove_leftovers();
  const Held before = held();
  std::vector<std::uint64_t> rounds;
  for (const auto& honest : honest_) {
    rounds.push_back(honest->rounds());
    honest->go_on();
  }
  const auto served = [&] {
    for (std::size_t i = 0; i < honest_.size(); ++i)
      if (honest_[i]->rounds() < rounds[i] + 2 && honest_[i]->trouble().empty()) return false;
    return true;
  };
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  for (int i = 0; i < times || !served(); ++i) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "an honest client is not served during the attack";
    once();
    if (::testing::Test::HasFatalFailure()) return;
  }
  all_serve();
  expect_the_same_ring(view);
  for (const auto& honest : honest_) honest->rest();
  remove_leftovers();
  Held after = held();
  // What connections held goes when the server sees their end.
  while (std::chrono::steady_clock::now() < until && (after.descriptors > before.descriptors + kWarmDescriptors ||
                                                      after.used_bytes > before.used_bytes + kWarmBytes)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    after = held();
  }
  EXPECT_LE(after.descriptors, before.descriptors + kWarmDescriptors);
  EXPECT_LE(after.used_bytes, before.used_bytes + kWarmBytes);
  EXPECT_LE(after.checkpoints, before.checkpoints);
  for (const auto& honest : honest_) {
    honest->go_on();
    EXPECT_EQ(honest->trouble(), "");
  }
}

Error last_words(TestClient& client) {
  Error words{ErrorCode::kPeerGone, "nothing"};
  for (;;) {
    auto received = client.receive();
    if (!received) {
      EXPECT_EQ(received.error().code, ErrorCode::kPeerGone) << "the connection stays open";
      return words;
    }
    const auto refusal = wire::from_frame<wire::Refusal>(received->frame);
    if (refusal) words = Error{static_cast<ErrorCode>(refusal->code), refusal->message};
  }
}

bool send_with(const TestClient& client, ByteView bytes, const std::vector<int>& descriptors) {
  std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
  iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size() * sizeof(int));
  }
  return ::sendmsg(client.socket(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

std::optional<TestClient> connect_as(uid_t user, RingFixture& ring, std::uint32_t node) {
  if (::geteuid() != 0) return std::nullopt;
  const std::string socket = ring.socket(node);
  const std::filesystem::path directory = std::filesystem::path(socket).parent_path();
  ::chmod(ring.directory().c_str(), 0711);
  ::chmod(directory.c_str(), 0711);
  ::chmod(socket.c_str(), 0666);
  // The system call changes this thread only; SO_PEERCRED is who connects.
  if (::syscall(SYS_setresuid, -1, user, -1) != 0) return std::nullopt;
  auto client = TestClient::greet(socket, ClusterId(RingFixture::kCluster));
  EXPECT_EQ(::syscall(SYS_setresuid, -1, 0, -1), 0);
  EXPECT_TRUE(client) << client.error().message;
  if (!client) return std::nullopt;
  return std::move(*client);
}

Result<OpenSlot> begin(TestClient& client, const std::string& name, std::uint64_t bytes) {
  std::vector<shm::Descriptor> descriptors;
  RK_TRY(auto slot, client.ask<wire::CheckpointSlot>(wire::CheckpointBegin{name, {{"data", bytes}}}, &descriptors));
  OpenSlot out{std::move(slot), {}};
  if (!descriptors.empty()) out.memory = std::move(descriptors.front());
  return out;
}

Result<wire::CommitAnswer> commit(TestClient& client, const OpenSlot& slot, wire::CommitLevel level) {
  return client.ask<wire::CommitAnswer>(wire::CheckpointCommit{slot.slot.slot, level, kTimeoutMs});
}

Result<wire::CommitAnswer> put(TestClient& client, const std::string& name, const std::string& bytes,
                               wire::CommitLevel level) {
  return client.ask<wire::CommitAnswer>(
      wire::CheckpointPut{name, {wire::PutSection{"data", as_bytes(bytes)}}, level, kTimeoutMs});
}

}  // namespace rk::testing
