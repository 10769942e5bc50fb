// SPDX-License-Identifier: Apache-2.0
// A ring of checkpoint servers on loopback for one user: `ringkeep up` leaves it running, `ringkeep run` starts one for
// a job and ends it afterwards. A throw-away cluster key and id, free ports, everything below one 0700 directory
// (wire/locations.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "shm/descriptor.h"
#include "wire/client_messages.h"

namespace rk::launch {

struct RingSettings {
  std::string directory;
  std::uint32_t servers = 4;
  std::uint64_t memory_bytes = 0;                                // budget of each; 0: the server's default
  bool outlives_us = false;                                      // `up`
  std::vector<std::pair<std::string, std::string>> environment;  // added to the servers'
  int interrupt = -1;                                            // readable: give up, in start()
};

class PrivateRing {
 public:
  // Starts the servers and waits until they have agreed on a view. On failure nothing of them is left running, and the
  // error has the failing server's own words.
  static Result<PrivateRing> start(const RingSettings& settings);
  PrivateRing(PrivateRing&&) noexcept = default;
  PrivateRing& operator=(PrivateRing&&) noexcept = default;
  ~PrivateRing();  // stops them unless they outlive us

  const std::vector<pid_t>& pids() const { return pids_; }
  std::string socket() const;
  void stop();
  // Name of the server with that pid, "server 2 (pid 123)"; empty if it is not one of ours.
  std::string name_of(pid_t pid) const;

 private:
  PrivateRing() = default;
  Status launch(const RingSettings& settings);
  Status await_ready(const RingSettings& settings);
  Status await_view(const RingSettings& settings);
  // "server 2 did not start: <last line of its log>".
  tl::unexpected<Error> did_not_start(std::uint32_t node, const std::string& why) const;

  std::string directory_;
  std::vector<pid_t> pids_;
  std::vector<shm::Descriptor> processes_;  // their pidfds
  std::vector<shm::Descriptor> ready_;
  shm::Descriptor parent_;  // the servers' --parent-fd closes with it
  bool outlives_us_ = false;
};

struct StoppedRing {
  std::uint32_t servers = 0;         // that were running
  std::vector<std::string> foreign;  // what stays in the directory because no ring made it
};

// Ends the servers of a ring that another process started and removes what they and `up` left in its directory. Nothing
// is touched in a directory that no `up` made: kPermission.
Result<StoppedRing> stop_ring(const std::string& directory);

// Status of the server at `socket`; empty: $RINGKEEP_SOCKET, then the user's own ring.
Result<wire::StatusAnswer> ask_status(const std::string& socket);

}  // namespace rk::launch
