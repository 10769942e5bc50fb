// SPDX-License-Identifier: Apache-2.0
// A process of the log's integration test, over the C ABI: rank 0 gives numbers to the others and takes whichever
// square comes first, the others square. Each receive is appended to a trace file of this life: "source tag ssn rsn
// value".
//   log_process TRACE TASKS     with the environment that `ringkeep run` sets
#include <fcntl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "ringkeep/ringkeep.h"

namespace {

constexpr std::int32_t kTask = 1;
constexpr std::int32_t kSquare = 2;
constexpr std::int32_t kStop = 3;
constexpr std::uint32_t kPatienceMs = 60'000;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "log_process: %s\n", why.c_str());
  std::_Exit(1);
}

class Process {
 public:
  Process(rk_job* job, const char* trace) : job_(job) {
    trace_ = ::open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (trace_ < 0) give_up(std::string("cannot write ") + trace);
  }
  void send(std::uint32_t dest, std::int32_t tag, std::uint64_t value) {
    if (rk_send(job_, dest, tag, &value, sizeof value) != RK_OK) give_up(rk_last_error());
  }
  std::uint64_t receive(std::uint32_t source, std::int32_t tag, rk_message& got) {
    std::uint64_t value = 0;
    got.struct_size = sizeof got;
    if (rk_recv(job_, source, tag, &value, sizeof value, kPatienceMs, &got) != RK_OK) give_up(rk_last_error());
    char line[128];
    const int size = std::snprintf(line, sizeof line, "%u %d %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", got.source,
                                   got.tag, got.ssn, got.rsn, value);
    if (::write(trace_, line, static_cast<std::size_t>(size)) != size) give_up("cannot write the trace");
    return value;
  }

  void master(std::uint64_t tasks) {
    std::uint64_t next = 1;
    const std::uint32_t workers = rk_job_size(job_) - 1;
    for (std::uint32_t worker = 1; worker <= workers; ++worker) send(worker, kTask, next++);
    for (std::uint64_t done = 0; done < tasks; ++done) {
      rk_message got{};
      receive(RK_ANY_SOURCE, kSquare, got);
      if (next <= tasks) send(got.source, kTask, next++);
    }
    for (std::uint32_t worker = 1; worker <= workers; ++worker) send(worker, kStop, 0);
  }
  void worker() {
    for (;;) {
      rk_message got{};
      const std::uint64_t value = receive(0, RK_ANY_TAG, got);
      if (got.tag == kStop) return;
      send(0, kSquare, value * value);
    }
  }

 private:
  rk_job* job_;
  int trace_ = -1;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) give_up("usage: log_process TRACE TASKS");
  rk_job* job = nullptr;
  if (rk_job_open(nullptr, &job) != RK_OK) give_up(rk_last_error());
  Process process(job, argv[1]);
  if (rk_job_rank(job) == 0)
    process.master(std::strtoull(argv[2], nullptr, 10));
  else
    process.worker();
  rk_job_close(job);
  return 0;
}
