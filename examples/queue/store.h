// SPDX-License-Identifier: Apache-2.0
// The jobs as checkpoints: one a segment, and an index that says how many there are.
//
// - Loading claims each checkpoint before it is read: from then on no other server of the ring can have a newer version
//   committed, and the keep makes second copies again of what has only one.
// - A segment counts once the index has its number. Its checkpoint is committed first, so one that was never committed
//   because everything ended in between is not missed.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "jobs.h"
#include "ringkeep/ringkeep.hpp"

namespace queue {

// Another instance has written the checkpoints since they were loaded.
class Superseded : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Store {
 public:
  // `accept_loss`: start with what is left when the ring says that a checkpoint is lost.
  Store(rk::Client client, const std::string& name, bool accept_loss)
      : client_(std::move(client)), name_("queue/" + name + "/"), accept_loss_(accept_loss) {}

  // What the keep has now. Throws rk::Failure, Damaged.
  Jobs load(const Limits& limits);
  // Commits the segments that changed. Throws rk::Failure: some of them may be committed, load() tells.
  void commit(Jobs& jobs);
  // Returns if this instance was the one that acts, under the ring's lease, after the call began. Throws rk::Failure,
  // Superseded.
  void confirm();

 private:
  std::string segment_name(std::uint32_t number) const { return name_ + std::to_string(number); }
  void claim(const std::string& name);
  bool load_segment(std::uint32_t number, Jobs& jobs);
  void commit_index(std::uint32_t segments);

  rk::Client client_;
  std::string name_;
  bool accept_loss_;
  std::uint32_t segments_ = 0;  // that the index counts
  std::uint64_t index_version_ = 0;
};

}  // namespace queue
