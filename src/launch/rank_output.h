// SPDX-License-Identifier: Apache-2.0
// The standard output and standard error of every process: a pipe each, read by the launcher, one
// recovery::OutputFilter each, which lets every line through once over all lives of the process.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "launch/loop.h"
#include "launch/screen.h"
#include "recovery/output_filter.h"
#include "shm/descriptor.h"

namespace rk::launch {

class RankOutput {
 public:
  RankOutput(Loop& loop, Screen& screen, std::uint32_t ranks);
  ~RankOutput();
  RankOutput(const RankOutput&) = delete;
  RankOutput& operator=(const RankOutput&) = delete;

  // New pipes for a new life: the ends to write to, standard output and standard error.
  Result<std::array<shm::Descriptor, 2>> open(Rank rank);
  // Takes everything that the process has written by now.
  void drain(Rank rank);
  // The process is dead: drains and closes its pipes.
  void close(Rank rank);
  // Another life follows, which prints everything again.
  void restart(Rank rank);
  // No other life follows: shows the unfinished line.
  void finish(Rank rank);
  std::array<std::uint64_t, 2> position(Rank rank) const;
  // What the process prints from here to resume() is no part of the program's output.
  void suspend(Rank rank);
  void resume(Rank rank, std::uint64_t stdout_lines, std::uint64_t stderr_lines);

  // Over all processes and both streams.
  recovery::OutputCounts totals() const;
  struct Difference {
    Rank rank;
    int stream = 1;
    recovery::DifferingLine line;
  };
  std::optional<Difference> first_difference() const;

 private:
  struct Stream {
    shm::Descriptor pipe;
    recovery::OutputFilter filter;
  };
  Stream& stream(Rank rank, int number) { return streams_[rank.value][static_cast<std::size_t>(number - 1)]; }
  // Reads once; false when nothing is there or the pipe has ended.
  bool read_once(Rank rank, int number);
  void set_reading(bool reading);

  Loop& loop_;
  Screen& screen_;
  std::vector<std::array<Stream, 2>> streams_;
  bool reading_ = true;
};

}  // namespace rk::launch
