// SPDX-License-Identifier: Apache-2.0
// Ping-pong between ranks 0 and 1: half the round trip, median over batches, one line "bytes microseconds" a size.
// Usage: channel MILLISECONDS SIZE...
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

void exchange(int rank, std::vector<char>& buffer, int rounds) {
  const int size = static_cast<int>(buffer.size());
  for (int i = 0; i < rounds; ++i) {
    if (rank == 0) {
      MPI_Send(buffer.data(), size, MPI_BYTE, 1, 7, MPI_COMM_WORLD);
      MPI_Recv(buffer.data(), size, MPI_BYTE, 1, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else if (rank == 1) {
      MPI_Recv(buffer.data(), size, MPI_BYTE, 0, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      MPI_Send(buffer.data(), size, MPI_BYTE, 0, 7, MPI_COMM_WORLD);
    }
  }
}

double microseconds_of(int rank, std::vector<char>& buffer, int rounds) {
  const auto start = Clock::now();
  exchange(rank, buffer, rounds);
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count() / rounds / 2;
}

// Median of batches that together take about `milliseconds`. Both ranks run the batches that rank 0 decides on.
double measure(int rank, std::vector<char>& buffer, double milliseconds) {
  constexpr int kBatches = 21;
  const double guess = std::max(microseconds_of(rank, buffer, 20), 0.05);
  int rounds = std::clamp(static_cast<int>(milliseconds * 1000 / (2 * guess * kBatches)), 2, 20000);
  MPI_Bcast(&rounds, 1, MPI_INT, 0, MPI_COMM_WORLD);
  std::vector<double> batches;
  for (int i = 0; i < kBatches; ++i) batches.push_back(microseconds_of(rank, buffer, rounds));
  std::nth_element(batches.begin(), batches.begin() + kBatches / 2, batches.end());
  return batches[kBatches / 2];
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int ranks = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks < 2 || argc < 3) {
    if (rank == 0) std::fprintf(stderr, "usage: channel MILLISECONDS SIZE... with two ranks\n");
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  const double milliseconds = std::strtod(argv[1], nullptr);
  for (int i = 2; i < argc; ++i) {
    std::vector<char> buffer(static_cast<std::size_t>(std::strtoul(argv[i], nullptr, 10)), 'x');
    const double median = measure(rank, buffer, milliseconds);
    if (rank == 0) std::printf("%zu %.3f\n", buffer.size(), median);
  }
  MPI_Finalize();
  return 0;
}
