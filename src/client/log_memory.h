// SPDX-License-Identifier: Apache-2.0
// The memory of a process's log: its own segment, which grows, and those of the processes that send to it.
//
// Fresh memory costs more than the message that is copied into it: the server allocates the page, then each process
// that uses it takes it into its page table. Where 1 MiB is copied in 0.1 ms, the rest took 0.45 ms. So it is done
// before it is needed, as little of it as possible, and in time that the process would spend waiting:
//
//   |<---------------- own segment ---------------->|
//   |  used  | free | granted, not entered |  limit |      granted: touched by the server, which was asked ahead
//            ^ entered: in this process's page table        a send without free memory enters a step; a process that
//                                                           waits enters slices, up to kAhead of free memory
//
// Of another process's segment, the pages of the chunks that follow in a row are entered by a process that waits
// (read-ahead, its window doubles); the others when they are read.
//
// Owned by LogSession. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "client/connection.h"
#include "log/process_log.h"
#include "shm/mapping.h"

namespace rk::client {

struct JobEnvironment;

class LogMemory : public log::ArenaSource, public log::PeerSource {
 public:
  LogMemory(const JobEnvironment& environment, Connection& connection);

  // Maps the own segment and the bells. The usable bytes of the segment.
  Result<std::uint64_t> attach();
  std::span<std::byte> own() const { return own_.writable(); }
  std::span<std::byte> bells() const { return bells_.writable(); }

  Result<std::uint64_t> grow(std::uint64_t bytes) override;
  bool coming(std::uint64_t bytes) const override;
  void grow_ahead(std::uint64_t bytes) override;
  std::uint64_t grown() override;
  Result<log::SegmentView> open(std::uint32_t rank) override;
  void reading(std::uint32_t rank, std::uint64_t offset, std::uint64_t bytes) override;

  // For a process that waits, with `free_bytes` left of what the log has been told of: something is to be prepared.
  bool idle_work(std::uint64_t free_bytes) const {
    return read_ahead_ > 0 || (entered_ < granted_ && free_bytes + (entered_ - told_) < kAhead);
  }
  // One slice of that, some ten microseconds.
  void prepare();

 private:
  static constexpr std::uint64_t kAhead = std::uint64_t{4} << 20U;
  struct Peer {
    shm::Mapping memory;
    log::SegmentView view;
    std::uint64_t chunk_end = 0;  // of the chunk that was entered last
    std::uint64_t window = 0;     // read-ahead behind it
    std::uint64_t ready = 0;      // pages below are in the page table, as far as they were read
    std::uint64_t wanted = 0;     // where read-ahead ends
  };

  Status take_grant(std::uint64_t usable);
  Status enter(std::uint64_t bytes);
  bool prepare_peer();

  const JobEnvironment& environment_;
  Connection& connection_;
  shm::Mapping bells_;
  shm::Mapping own_;
  std::uint64_t granted_ = 0;
  std::uint64_t entered_ = 0;
  std::uint64_t told_ = 0;      // of `entered_`, by grow() and grown()
  bool refused_ahead_ = false;  // by the server: not asked again before a grow() succeeds
  std::vector<Peer> peers_;
  std::uint32_t read_ahead_ = 0;  // peers with `ready` below `wanted`
};

}  // namespace rk::client
