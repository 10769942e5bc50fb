// SPDX-License-Identifier: Apache-2.0
// The keep's memory as it outlives a server that is killed: its files lie with the descriptor holder, and one of them,
// number 0, has the records of what is in the others (keep/memory.h, and which slot lies in which file).
//
// - A file is with the holder before anything is written into it; a record is in shared memory when remember() returns.
//   So whatever a client or another server was told is there when this process is killed at any instruction.
// - The records name the life that writes them. They count for the life directly after it only: one in between may have
//   acted without writing any.
// - Bytes are proved against their checksums before they are used.
// - If the holder fails, the server goes on without it, and says so; what it held goes when it ends.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "daemon/descriptor_holder.h"
#include "keep/memory.h"
#include "shm/mapping.h"
#include "shm/memory_budget.h"
#include "shm/memory_file.h"
#include "shm/record_memory.h"

namespace rk::daemon {

class KeptMemory {
 public:
  struct Life {
    NodeId node;
    ClusterId cluster;
    Incarnation incarnation;
    Incarnation before;  // 0: none
  };
  // A slot of the life before.
  struct Slot {
    keep::SlotId slot;
    OwnerId owner;
    std::uint64_t bytes = 0;
    std::uint64_t number = 0;
    shm::MemoryFile file;
    shm::Mapping mapping;
  };
  struct Returned {
    std::optional<keep::Memory> memory;
    std::vector<Slot> slots;  // that it speaks of: proved, and charged to the budget
  };
  // Whose life is the one after `life.before`. An error: nothing outlives this process.
  static Result<std::unique_ptr<KeptMemory>> open(DescriptorHolder holder, std::vector<DescriptorHolder::Held> held,
                                                  const Life& life, shm::MemoryBudget& budget, Returned& returned);
  ~KeptMemory();

  // Newest value of the key; empty: none.
  void remember(ByteView key, ByteView value);
  // The file's number from now on; not 0.
  std::uint64_t hold(const shm::MemoryFile& file);
  void drop(std::uint64_t number);
  // Which file the slot's bytes lie in.
  void place(keep::SlotId slot, std::uint64_t number);
  void unplace(keep::SlotId slot);
  // The server ends in good order.
  void end();
  // Why nothing outlives this process; empty: it does.
  const std::string& failure() const { return failure_; }

 private:
  KeptMemory(DescriptorHolder holder, const Life& life, shm::MemoryBudget& budget)
      : holder_(std::move(holder)), life_(life), budget_(budget) {}
  void take_back(std::vector<DescriptorHolder::Held> held, Returned& returned);
  Status write_anew(const shm::RecordMemory::Records& records);
  void write(ByteView key, ByteView value);
  void give_up(const Error& why);

  std::optional<DescriptorHolder> holder_;
  Life life_;
  shm::MemoryBudget& budget_;
  shm::RecordMemory records_;
  std::uint64_t last_number_ = 0;
  std::string failure_;
};

}  // namespace rk::daemon
