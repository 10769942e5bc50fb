// SPDX-License-Identifier: Apache-2.0
// taskfarm: a master hands out tasks of uneven length, and prints each result when it arrives.
//
// Every receive takes any source and any tag, so the order of the results is different in every run: it depends on
// timing alone. That order shows in the output; after a failure of the master the program must see it once more.
// The set of results is the same in every run: "results" at the end is a checksum over it, "order" one over the order.
#include <mpi.h>

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

enum Tag : int { kReady = 1, kResult = 2, kTask = 3, kStop = 4 };

struct Options {
  int tasks = 400;
  int work = 300000;  // length of the shortest task, in rounds of the generator
  std::string order;  // file that the master writes at the end: one line "task rank" a result; empty: none
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "taskfarm: %s\n", why.c_str());
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::exit(1);
}

int number(const std::string& name, const char* text) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < 1 || value > 100000000)
    give_up(name + " needs a number from 1 to 100000000");
  return static_cast<int>(value);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 >= argc) give_up(name + " needs a value");
    if (name == "--tasks")
      options.tasks = number(name, argv[i + 1]);
    else if (name == "--work")
      options.work = number(name, argv[i + 1]);
    else if (name == "--order")
      options.order = argv[i + 1];
    else
      give_up("unknown option " + name);
  }
  return options;
}

struct Outcome {
  std::int64_t task;
  std::uint64_t value;
};

std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 33U;
  value *= 0xff51afd7ed558ccdULL;
  value ^= value >> 33U;
  return value;
}

// The longest task takes eight times as long as the shortest.
std::uint64_t solve(std::int64_t task, int work) {
  std::uint64_t value = mix(static_cast<std::uint64_t>(task) + 1);
  const std::int64_t rounds = static_cast<std::int64_t>(work) * (1 + static_cast<std::int64_t>(value % 8));
  for (std::int64_t i = 0; i < rounds; ++i) value = mix(value + static_cast<std::uint64_t>(i));
  return value;
}

void work(const Options& options) {
  const Outcome nothing{-1, 0};
  MPI_Send(&nothing, sizeof nothing, MPI_BYTE, 0, kReady, MPI_COMM_WORLD);
  for (;;) {
    std::int64_t task = 0;
    MPI_Status status;
    MPI_Recv(&task, 1, MPI_INT64_T, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    if (status.MPI_TAG == kStop) return;
    const Outcome outcome{task, solve(task, options.work)};
    MPI_Send(&outcome, sizeof outcome, MPI_BYTE, status.MPI_SOURCE, kResult, MPI_COMM_WORLD);
  }
}

struct Arrival {
  Outcome outcome;
  int rank;
};

std::vector<Arrival> hand_out(const Options& options, int ranks) {
  std::vector<Arrival> arrivals;
  std::int64_t next = 0;
  int working = ranks - 1;
  while (working > 0) {
    Outcome outcome{};
    MPI_Status status;
    MPI_Recv(&outcome, sizeof outcome, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
    int bytes = 0;
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    if (bytes != static_cast<int>(sizeof outcome)) give_up("a message of another length arrived");
    if (status.MPI_TAG == kResult) {
      arrivals.push_back({outcome, status.MPI_SOURCE});
      std::printf("result %" PRId64 " from %d: %016" PRIx64 "\n", outcome.task, status.MPI_SOURCE, outcome.value);
      std::fflush(stdout);
    }
    if (next < options.tasks) {
      MPI_Send(&next, 1, MPI_INT64_T, status.MPI_SOURCE, kTask, MPI_COMM_WORLD);
      ++next;
    } else {
      const std::int64_t none = -1;
      MPI_Send(&none, 1, MPI_INT64_T, status.MPI_SOURCE, kStop, MPI_COMM_WORLD);
      --working;
    }
  }
  return arrivals;
}

void report(const Options& options, std::vector<Arrival> arrivals) {
  std::uint64_t order = 0;
  for (const Arrival& arrival : arrivals)
    order = mix(order * 31 + static_cast<std::uint64_t>(arrival.outcome.task * 1000 + arrival.rank));
  if (!options.order.empty()) {
    std::FILE* file = std::fopen(options.order.c_str(), "w");
    if (file == nullptr) give_up("cannot write " + options.order);
    for (const Arrival& arrival : arrivals) std::fprintf(file, "%" PRId64 " %d\n", arrival.outcome.task, arrival.rank);
    if (std::fclose(file) != 0) give_up("cannot write " + options.order);
  }
  std::sort(arrivals.begin(), arrivals.end(),
            [](const Arrival& a, const Arrival& b) { return a.outcome.task < b.outcome.task; });
  std::uint64_t results = 0;
  for (const Arrival& arrival : arrivals)
    results = mix(results * 31 + (arrival.outcome.value ^ static_cast<std::uint64_t>(arrival.outcome.task)));
  std::printf("order %016" PRIx64 "\ntasks %zu\nresults %016" PRIx64 "\n", order, arrivals.size(), results);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const Options options = parse(argc, argv);
  int rank = 0;
  int ranks = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks < 2) give_up("needs at least two ranks: a master and a worker");
  if (rank == 0)
    report(options, hand_out(options, ranks));
  else
    work(options);
  MPI_Finalize();
  return 0;
}
