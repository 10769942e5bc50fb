// SPDX-License-Identifier: Apache-2.0
// The jobs of the queue, as plain memory: what is put, reserved and deleted, and the segments in which it is saved.
//
// - A segment is a group of up to 256 jobs that are saved together, one checkpoint each. Jobs that were put together
//   lie in one segment, so a turn with many puts rewrites one, whatever the queue's length. A segment that is half
//   empty takes new jobs again; a job never changes its segment, so it is never in two.
// - A deleted job leaves its id, owner and request behind, the newest 65,536 of them, so that a request that comes
//   again, because its answer was lost, is known as done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace queue {

inline constexpr std::size_t kMaxNameBytes = 64;  // ids, workers and requests
inline constexpr std::size_t kMaxBodyBytes = 4096;
inline constexpr std::size_t kSegmentJobs = 256;
inline constexpr std::size_t kSegmentBytes = std::size_t{64} << 10U;
inline constexpr std::uint32_t kMaxSegments = 4096;

struct Limits {
  std::size_t jobs = 100'000;
  std::size_t bytes = std::size_t{64} << 20U;  // of bodies
  std::size_t remembered = 65'536;             // deleted jobs
};

// A saved segment that is none of ours, or damaged.
class Damaged : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class State : std::uint8_t { kReady = 1, kReserved = 2, kDeleted = 3 };

struct Job {
  std::string id;
  std::uint64_t sequence = 0;  // of the put, or, of a deleted job, of its end
  State state = State::kReady;
  std::string body;
  std::string worker;  // owner
  std::string request;
  std::uint32_t segment = 0;
};

enum class Result { kDone, kFull, kExists, kNotFound, kNotOwner, kEmpty, kOver };

struct Stats {
  std::size_t ready = 0;
  std::size_t reserved = 0;
  std::size_t remembered = 0;
  std::size_t bytes = 0;
  std::size_t segments = 0;
};

class Jobs {
 public:
  explicit Jobs(Limits limits) : limits_(limits) {}
  Jobs(Jobs&&) = default;
  Jobs& operator=(Jobs&&) = default;

  // kDone also for a job that was put before, deleted or not; kExists if it has another body.
  Result put(std::string_view id, std::string_view body);
  // The job of that request, or else the oldest one that nobody has. kEmpty; kOver: its job was deleted.
  std::pair<Result, const Job*> reserve(std::string_view worker, std::string_view request);
  // By its owner. kDone also for a job that was deleted before.
  Result remove(std::string_view worker, std::string_view id);
  const Job* find(std::string_view id) const;
  Stats stats() const;

  // Segments that differ from what was saved.
  const std::set<std::uint32_t>& changed() const { return changed_; }
  void saved() { changed_.clear(); }
  std::uint32_t segments() const { return static_cast<std::uint32_t>(segments_.size()); }
  std::string encode(std::uint32_t segment) const;
  // The next segment, in order. Throws Damaged.
  void load(std::span<const std::byte> bytes);
  // The same for one that is lost: it is to be saved again.
  void load_empty();

 private:
  struct Segment {
    std::set<Job*> jobs;  // deleted ones that are remembered, too
    std::size_t bytes = 0;
  };
  bool choose_segment(std::size_t bytes);
  bool has_room(const Segment& segment, std::size_t bytes, std::size_t share) const;
  void enter(Job& job);
  void leave(Job& job);
  void forget_oldest();

  Limits limits_;
  std::map<std::string, Job, std::less<>> jobs_;  // by id
  std::vector<Segment> segments_;
  std::uint32_t current_ = 0;                                     // takes new jobs
  std::map<std::uint64_t, Job*> ready_;                           // by sequence
  std::map<std::uint64_t, Job*> deleted_;                         // likewise
  std::map<std::pair<std::string, std::string>, Job*> requests_;  // by worker and request
  std::size_t bytes_ = 0;
  std::uint64_t last_sequence_ = 0;
  std::set<std::uint32_t> changed_;
};

}  // namespace queue
