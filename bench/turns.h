// SPDX-License-Identifier: Apache-2.0
// Processes that do something at the same time, and what it took the last of them: what bulk.cc and replicated.cc
// share.
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <ringkeep/ringkeep.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

namespace bench {

inline constexpr std::size_t kPage = 4096;
inline constexpr int kMaxMembers = 16;
inline constexpr std::uint32_t kPatienceMs = 60'000;  // for a commit; it is no measure

[[noreturn]] inline void die(const std::string& what) {
  std::fprintf(stderr, "bench: %s\n", what.c_str());
  std::exit(1);
}

inline void check(int code) {
  if (code != RK_OK) die(rk_last_error());
}

inline double now_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Shared memory that every page of was written to: what the reference copies into and from.
class Warm {
 public:
  explicit Warm(std::size_t bytes, int file = -1) : bytes_(bytes) {
    const int sharing = file < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, sharing, file, 0);
    if (at == MAP_FAILED) die("no " + std::to_string(bytes) + " bytes of shared memory");
    data_ = static_cast<char*>(at);
    if (file < 0) std::memset(data_, 1, bytes);
  }
  Warm(const Warm&) = delete;
  Warm& operator=(const Warm&) = delete;
  ~Warm() { ::munmap(data_, bytes_); }
  char* data() const { return data_; }
  std::size_t size() const { return bytes_; }

 private:
  std::size_t bytes_;
  char* data_ = nullptr;
};

// A barrier that sleeps: members that are done leave the processors to the servers and to the others.
class Turns {
 public:
  // Where all members have it mapped; one of them calls begin() before the others use it.
  struct Shared {
    pthread_barrier_t barrier;
    std::array<double, kMaxMembers> us;
  };
  Turns(Shared& shared, int member, int members) : shared_(shared), member_(member), members_(members) {}
  static void begin(Shared& shared, int members) {
    pthread_barrierattr_t kind;
    pthread_barrierattr_init(&kind);
    pthread_barrierattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    if (pthread_barrier_init(&shared.barrier, &kind, static_cast<unsigned>(members)) != 0) die("no barrier");
  }
  void meet() const { pthread_barrier_wait(&shared_.barrier); }
  // Microseconds of the slowest member. `after` belongs to the turn, and is not timed.
  double slowest_us(const std::function<void()>& work, const std::function<void()>& after = {}) const {
    meet();
    const double start = now_us();
    work();
    shared_.us.at(static_cast<std::size_t>(member_)) = now_us() - start;
    if (after) after();
    meet();
    const double slowest = *std::max_element(shared_.us.begin(), shared_.us.begin() + members_);
    meet();
    return slowest;
  }

 private:
  Shared& shared_;
  int member_;
  int members_;
};

// Memory of a program: each change() gives that share of its pages, spread over all of it, other bytes.
class Program {
 public:
  explicit Program(std::size_t bytes) : memory_(bytes) {}
  const char* data() const { return memory_.data(); }
  std::size_t size() const { return memory_.size(); }
  std::size_t change(int permille) {
    std::size_t changed = 0;
    ++generation_;
    for (std::size_t number = 0; number < memory_.size() / kPage; ++number) {
      if ((number * 1009 + generation_ * 7919) % 1000 >= static_cast<std::size_t>(permille)) continue;
      std::memcpy(memory_.data() + number * kPage, &generation_, sizeof generation_);
      ++changed;
    }
    return changed;
  }

 private:
  Warm memory_;
  std::size_t generation_ = 1;
};

inline rk_client* open_client(const char* socket) {
  rk_options options{};
  options.struct_size = sizeof options;
  options.socket_path = socket;
  options.timeout_ms = kPatienceMs;
  rk_client* client = nullptr;
  check(rk_open(&options, &client));
  return client;
}

}  // namespace bench
