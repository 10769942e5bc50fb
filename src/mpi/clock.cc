// SPDX-License-Identifier: Apache-2.0
#include "mpi/clock.h"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "mpi/bodies.h"
#include "mpi/entry_guard.h"
#include "mpi/layer.h"
#include "mpi/native.h"
#include "mpi/outcome.h"

namespace rk::mpi {
namespace {

struct Clocks {
  int (*clock_gettime)(clockid_t, timespec*);
  int (*gettimeofday)(timeval*, void*);
  time_t (*time)(time_t*);
  int (*getrusage)(int, rusage*);
  clock_t (*clock)();
  clock_t (*times)(tms*);
};
Clocks real;

template <class Function>
void find(Function& function, const char* name) {
  void* found = dlsym(RTLD_NEXT, name);
  std::memcpy(&function, &found, sizeof found);
}

// Other libraries read clocks before this library's constructor has run.
void make_sure() {
  if (real.clock_gettime == nullptr) find_clocks();
}

// CPU time of the new process, moved on by what the last repeated reading was ahead of it.
class CpuOffset {
 public:
  void repeated(std::int64_t value) { last_ = value; }
  std::int64_t adjust(std::int64_t value) {
    if (last_ > 0) {
      offset_ = std::max<std::int64_t>(0, last_ - value);
      last_ = 0;
    }
    return value + offset_;
  }

 private:
  std::int64_t last_ = 0;
  std::int64_t offset_ = 0;
};

constexpr std::int64_t kNanos = 1'000'000'000;
constexpr std::int64_t kMicros = 1'000'000;

bool is_cpu_clock(clockid_t id) { return id < 0 || id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID; }

CpuOffset process_clock;
CpuOffset user_time;
CpuOffset system_time;
CpuOffset clock_ticks;
CpuOffset times_user;
CpuOffset times_system;

std::int64_t as_us(const timeval& at) { return at.tv_sec * kMicros + at.tv_usec; }
timeval from_us(std::int64_t us) { return {us / kMicros, us % kMicros}; }

int program_clock_gettime(clockid_t id, timespec* at) {
  if (replaying()) {
    const log::Outcome seen = replay(log::OutcomeKind::kClock);
    at->tv_sec = static_cast<time_t>(seen.value);
    at->tv_nsec = static_cast<long>(seen.detail);
    if (is_cpu_clock(id)) process_clock.repeated(at->tv_sec * kNanos + at->tv_nsec);
    return 0;
  }
  const int code = real.clock_gettime(id, at);
  if (code != 0) return code;
  if (is_cpu_clock(id)) {
    const std::int64_t ns = process_clock.adjust(at->tv_sec * kNanos + at->tv_nsec);
    *at = {ns / kNanos, ns % kNanos};
  }
  record(log::OutcomeKind::kClock, static_cast<std::uint64_t>(at->tv_sec), static_cast<std::uint64_t>(at->tv_nsec));
  return 0;
}

int program_getrusage(int who, rusage* usage) {
  if (replaying()) {
    const log::Outcome seen = replay(log::OutcomeKind::kClockBytes);
    std::memcpy(usage, seen.blob.data(), std::min(sizeof *usage, seen.blob.size()));
    if (who == RUSAGE_SELF) {
      user_time.repeated(as_us(usage->ru_utime));
      system_time.repeated(as_us(usage->ru_stime));
    }
    return 0;
  }
  const int code = real.getrusage(who, usage);
  if (code != 0) return code;
  if (who == RUSAGE_SELF) {
    usage->ru_utime = from_us(user_time.adjust(as_us(usage->ru_utime)));
    usage->ru_stime = from_us(system_time.adjust(as_us(usage->ru_stime)));
  }
  record(log::OutcomeKind::kClockBytes, 0, 0, std::as_bytes(std::span(usage, 1)));
  return 0;
}

clock_t program_times(tms* out) {
  struct Reading {
    tms usage;
    clock_t ticks;
  } reading{};
  if (replaying()) {
    const log::Outcome seen = replay(log::OutcomeKind::kClockBytes);
    std::memcpy(&reading, seen.blob.data(), std::min(sizeof reading, seen.blob.size()));
    times_user.repeated(reading.usage.tms_utime);
    times_system.repeated(reading.usage.tms_stime);
  } else {
    reading.ticks = real.times(&reading.usage);
    reading.usage.tms_utime = times_user.adjust(reading.usage.tms_utime);
    reading.usage.tms_stime = times_system.adjust(reading.usage.tms_stime);
    record(log::OutcomeKind::kClockBytes, 0, 0, std::as_bytes(std::span(&reading, 1)));
  }
  if (out != nullptr) *out = reading.usage;
  return reading.ticks;
}

// A reading that is one number.
template <class Read, class Repeated>
std::int64_t one_number(Read read, Repeated repeated) {
  if (replaying()) {
    const auto value = static_cast<std::int64_t>(replay(log::OutcomeKind::kClock).value);
    repeated(value);
    return value;
  }
  const std::int64_t value = read();
  record(log::OutcomeKind::kClock, static_cast<std::uint64_t>(value));
  return value;
}

}  // namespace

void find_clocks() {
  find(real.clock_gettime, "clock_gettime");
  find(real.gettimeofday, "gettimeofday");
  find(real.time, "time");
  find(real.getrusage, "getrusage");
  find(real.clock, "clock");
  find(real.times, "times");
}

std::uint64_t monotonic_ns() {
  timespec at{};
  real.clock_gettime(CLOCK_MONOTONIC, &at);
  return static_cast<std::uint64_t>(at.tv_sec * kNanos + at.tv_nsec);
}

std::uint64_t real_thread_cpu_ns() {
  timespec at{};
  real.clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return static_cast<std::uint64_t>(at.tv_sec * kNanos + at.tv_nsec);
}

rusage real_usage() {
  rusage usage{};
  real.getrusage(RUSAGE_SELF, &usage);
  return usage;
}

CpuReadings cpu_readings() {
  timespec process{};
  real.clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &process);
  const rusage usage = real_usage();
  tms ticks{};
  real.times(&ticks);
  return {{process_clock.adjust(process.tv_sec * kNanos + process.tv_nsec), user_time.adjust(as_us(usage.ru_utime)),
           system_time.adjust(as_us(usage.ru_stime)), clock_ticks.adjust(real.clock()),
           times_user.adjust(ticks.tms_utime), times_system.adjust(ticks.tms_stime)}};
}

void resume_cpu(const CpuReadings& readings) {
  process_clock.repeated(readings.values[0]);
  user_time.repeated(readings.values[1]);
  system_time.repeated(readings.values[2]);
  clock_ticks.repeated(readings.values[3]);
  times_user.repeated(readings.values[4]);
  times_system.repeated(readings.values[5]);
}

double Wtime() {
  if (replaying()) return std::bit_cast<double>(replay(log::OutcomeKind::kClock).value);
  const double seconds = static_cast<double>(monotonic_ns()) * 1e-9;
  record(log::OutcomeKind::kClock, std::bit_cast<std::uint64_t>(seconds));
  return seconds;
}

int Get_processor_name(char* name, int* length) {
  if (replaying()) {
    const log::Outcome seen = replay(log::OutcomeKind::kName);
    *length = static_cast<int>(std::min<std::size_t>(seen.blob.size(), MPI_MAX_PROCESSOR_NAME - 1));
    std::memcpy(name, seen.blob.data(), static_cast<std::size_t>(*length));
    name[*length] = '\0';
    return MPI_SUCCESS;
  }
  const int code = native.Get_processor_name(name, length);
  if (code == MPI_SUCCESS)
    record(log::OutcomeKind::kName, 0, 0, std::as_bytes(std::span(name, static_cast<std::size_t>(*length))));
  return code;
}

}  // namespace rk::mpi

using rk::mpi::bypassed;
using rk::mpi::Entry;

#define RK_INTERPOSE extern "C" __attribute__((visibility("default")))

RK_INTERPOSE int clock_gettime(clockid_t id, timespec* at) noexcept {
  rk::mpi::make_sure();
  if (bypassed()) return rk::mpi::real.clock_gettime(id, at);
  const Entry entry;
  return rk::mpi::program_clock_gettime(id, at);
}

RK_INTERPOSE int gettimeofday(timeval* __restrict at, void* __restrict zone) noexcept {
  rk::mpi::make_sure();
  if (bypassed()) return rk::mpi::real.gettimeofday(at, zone);
  const Entry entry;
  timespec now{};
  const int code = rk::mpi::program_clock_gettime(CLOCK_REALTIME, &now);
  *at = {now.tv_sec, now.tv_nsec / 1000};
  return code;
}

RK_INTERPOSE time_t time(time_t* at) noexcept {
  rk::mpi::make_sure();
  if (bypassed()) return rk::mpi::real.time(at);
  const Entry entry;
  const auto now = static_cast<time_t>(
      rk::mpi::one_number([] { return rk::mpi::real.time(nullptr); }, [](std::int64_t /*value*/) {}));
  if (at != nullptr) *at = now;
  return now;
}

RK_INTERPOSE int getrusage(__rusage_who_t who, rusage* usage) noexcept {
  rk::mpi::make_sure();
  if (bypassed()) return rk::mpi::real.getrusage(who, usage);
  const Entry entry;
  return rk::mpi::program_getrusage(who, usage);
}

RK_INTERPOSE clock_t clock() noexcept {
  rk::mpi::make_sure();
  if (bypassed()) return rk::mpi::real.clock();
  const Entry entry;
  return rk::mpi::one_number([] { return rk::mpi::clock_ticks.adjust(rk::mpi::real.clock()); },
                             [](std::int64_t value) { rk::mpi::clock_ticks.repeated(value); });
}

RK_INTERPOSE clock_t times(tms* out) noexcept {
  rk::mpi::make_sure();
  if (bypassed()) return rk::mpi::real.times(out);
  const Entry entry;
  return rk::mpi::program_times(out);
}
