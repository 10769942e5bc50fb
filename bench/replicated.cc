// SPDX-License-Identifier: Apache-2.0
// All ranks at once: a replicated commit of BYTES each at a server of its own, and what nobody can do without: a copy
// into shared memory and one transfer to the neighbour by MPI_Sendrecv. Both alternate; of each pair one line, "A_us
// B_us", of the slowest rank. Start it by mpirun.
// Usage: replicated BYTES PAIRS A B FILE SOCKET...      A, B: keep, floor. FILE: empty; SOCKET: one for each rank
#include <mpi.h>
#include <unistd.h>

#include <array>

#include "turns.h"

namespace {

using bench::die;

constexpr int kWarmUps = 4;  // until each version has memory that an earlier one had

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int ranks = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (ranks > bench::kMaxMembers || argc != 6 + ranks) die("usage: see the head of bench/replicated.cc");
  const std::size_t bytes = std::strtoull(argv[1], nullptr, 10);

  const int file = ::open(argv[5], O_RDWR | O_CLOEXEC);
  if (file < 0 || ::ftruncate(file, sizeof(bench::Turns::Shared)) != 0) die("no file for the barrier");
  const bench::Warm memory(sizeof(bench::Turns::Shared), file);
  auto& shared = *reinterpret_cast<bench::Turns::Shared*>(memory.data());
  if (rank == 0) bench::Turns::begin(shared, ranks);
  MPI_Barrier(MPI_COMM_WORLD);

  const bench::Turns turns(shared, rank, ranks);
  rk_client* client = bench::open_client(argv[6 + rank]);
  bench::Program program(bytes);
  const bench::Warm copy(bytes);
  const bench::Warm second(bytes);
  const std::string name = "bench" + std::to_string(rank);
  const int count = static_cast<int>(bytes);
  const auto time_us = [&](const std::string& side) {
    program.change(1000);
    if (side == "keep")
      return turns.slowest_us(
          [&] { bench::check(rk_put(client, name.c_str(), program.data(), program.size(), nullptr)); });
    if (side != "floor") die("not a side: " + side);
    return turns.slowest_us([&] {
      std::memcpy(copy.data(), program.data(), bytes);
      MPI_Sendrecv(copy.data(), count, MPI_BYTE, (rank + ranks - 1) % ranks, 0, second.data(), count, MPI_BYTE,
                   (rank + 1) % ranks, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    });
  };
  for (int i = 0; i < kWarmUps; ++i)
    for (const int side : {3, 4}) time_us(argv[side]);
  for (int pair = 0; pair < std::atoi(argv[2]); ++pair) {
    std::array<double, 2> times{};
    for (const int which : {pair % 2, 1 - pair % 2})
      times.at(static_cast<std::size_t>(which)) = time_us(argv[3 + which]);
    if (rank == 0) std::printf("%.1f %.1f\n", times[0], times[1]);
  }
  rk_close(client);
  MPI_Finalize();
  return 0;
}
