// SPDX-License-Identifier: Apache-2.0
// A process of the log's integration test, over the C ABI: rank 0 gives numbers to the others and takes whichever
// square comes first, the others square. Each receive is appended to a trace file of this life: "source tag ssn rsn
// value".
//   log_process TRACE TASKS [EVERY]     with the environment that `ringkeep run` sets
// With EVERY, each process takes a checkpoint after that many receives, alone in its community.
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
  Process(rk_job* job, const char* trace, std::uint64_t every) : job_(job), every_(every) {
    trace_ = ::open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (trace_ < 0) give_up(std::string("cannot write ") + trace);
    if (every_ == 0) return;
    std::uint64_t version = 0;
    if (rk_job_protect(job_, "state", &state_, sizeof state_) != RK_OK) give_up(rk_last_error());
    if (rk_job_restart_version(job_, &version) != RK_OK) give_up(rk_last_error());
    if (version != 0 && rk_job_restore(job_) != RK_OK) give_up(rk_last_error());
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
    ++state_.received;
    return value;
  }
  // Where nothing is under way but what the log has.
  void checkpoint() {
    if (every_ != 0 && state_.received % every_ == 0 && rk_job_checkpoint(job_, nullptr) != RK_OK)
      give_up(rk_last_error());
  }

  void master(std::uint64_t tasks) {
    const std::uint32_t workers = rk_job_size(job_) - 1;
    if (state_.given == 0)
      for (std::uint32_t worker = 1; worker <= workers; ++worker) send(worker, kTask, ++state_.given);
    while (state_.received < tasks) {
      rk_message got{};
      receive(RK_ANY_SOURCE, kSquare, got);
      if (state_.given < tasks) send(got.source, kTask, ++state_.given);
      checkpoint();
    }
    for (std::uint32_t worker = 1; worker <= workers; ++worker) send(worker, kStop, 0);
  }
  void worker() {
    for (;;) {
      rk_message got{};
      const std::uint64_t value = receive(0, RK_ANY_TAG, got);
      if (got.tag == kStop) return;
      send(0, kSquare, value * value);
      checkpoint();
    }
  }

 private:
  struct State {
    std::uint64_t received = 0;
    std::uint64_t given = 0;  // tasks, by the master
  };
  rk_job* job_;
  std::uint64_t every_;
  State state_;
  int trace_ = -1;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) give_up("usage: log_process TRACE TASKS [EVERY]");
  rk_job* job = nullptr;
  if (rk_job_open(nullptr, &job) != RK_OK) give_up(rk_last_error());
  Process process(job, argv[1], argc == 4 ? std::strtoull(argv[3], nullptr, 10) : 0);
  if (rk_job_rank(job) == 0)
    process.master(std::strtoull(argv[2], nullptr, 10));
  else
    process.worker();
  rk_job_close(job);
  return 0;
}
