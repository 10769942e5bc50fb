// SPDX-License-Identifier: Apache-2.0
#include "jobs.h"

#include <algorithm>

namespace queue {
namespace {

constexpr char kMagic[4] = {'R', 'K', 'Q', 'S'};
constexpr std::uint32_t kFormat = 1;

void append_number(std::string& out, std::uint64_t value) {
  for (unsigned shift = 0; shift < 64; shift += 8) out += static_cast<char>((value >> shift) & 0xffU);
}

void append_text(std::string& out, const std::string& text) {
  append_number(out, text.size());
  out += text;
}

// Takes a saved segment apart; throws Damaged where it ends early or breaks a limit.
class Cutter {
 public:
  explicit Cutter(std::span<const std::byte> bytes)
      : rest_(reinterpret_cast<const char*>(bytes.data()), bytes.size()) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    const std::string_view bytes = take(8);
    for (unsigned i = 0; i < 8; ++i) value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return value;
  }
  std::string text(std::size_t limit) {
    const std::uint64_t size = number();
    if (size > limit) throw Damaged("a saved segment has a text of " + std::to_string(size) + " bytes");
    return std::string(take(size));
  }
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) throw Damaged("a saved segment ends early");
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace

bool Jobs::has_room(const Segment& segment, std::size_t bytes, std::size_t share) const {
  return segment.jobs.size() < kSegmentJobs / share && segment.bytes + bytes <= kSegmentBytes / share;
}

// False: all segments are full.
bool Jobs::choose_segment(std::size_t bytes) {
  if (current_ < segments_.size() && has_room(segments_[current_], bytes, 1)) return true;
  for (std::uint32_t i = 0; i < segments_.size(); ++i) {
    if (!has_room(segments_[i], bytes, 2)) continue;
    current_ = i;
    return true;
  }
  if (segments_.size() >= kMaxSegments) return false;
  current_ = static_cast<std::uint32_t>(segments_.size());
  segments_.emplace_back();
  return true;
}

void Jobs::enter(Job& job) {
  Segment& segment = segments_[job.segment];
  segment.jobs.insert(&job);
  segment.bytes += job.body.size();
  bytes_ += job.body.size();
  if (job.state == State::kReady) ready_.emplace(job.sequence, &job);
  if (job.state == State::kDeleted) deleted_.emplace(job.sequence, &job);
  if (!job.request.empty()) requests_[{job.worker, job.request}] = &job;
}

void Jobs::leave(Job& job) {
  Segment& segment = segments_[job.segment];
  segment.jobs.erase(&job);
  segment.bytes -= job.body.size();
  bytes_ -= job.body.size();
  ready_.erase(job.sequence);
  deleted_.erase(job.sequence);
  if (!job.request.empty()) requests_.erase({job.worker, job.request});
}

// In memory: the next save of its segment is soon enough, for a restart forgets it again.
void Jobs::forget_oldest() {
  while (deleted_.size() > limits_.remembered) {
    Job& job = *deleted_.begin()->second;
    leave(job);
    jobs_.erase(jobs_.find(job.id));
  }
}

Result Jobs::put(std::string_view id, std::string_view body) {
  if (const auto at = jobs_.find(id); at != jobs_.end())
    return at->second.state == State::kDeleted || at->second.body == body ? Result::kDone : Result::kExists;
  if (jobs_.size() - deleted_.size() >= limits_.jobs || bytes_ + body.size() > limits_.bytes) return Result::kFull;
  if (!choose_segment(body.size())) return Result::kFull;
  Job& job = jobs_[std::string(id)];
  job.id = id;
  job.body = body;
  job.sequence = ++last_sequence_;
  job.segment = current_;
  enter(job);
  changed_.insert(job.segment);
  return Result::kDone;
}

std::pair<Result, const Job*> Jobs::reserve(std::string_view worker, std::string_view request) {
  const std::pair key{std::string(worker), std::string(request)};
  if (const auto at = requests_.find(key); at != requests_.end())
    return {at->second->state == State::kDeleted ? Result::kOver : Result::kDone, at->second};
  if (ready_.empty()) return {Result::kEmpty, nullptr};
  Job& job = *ready_.begin()->second;
  leave(job);
  job.state = State::kReserved;
  job.worker = worker;
  job.request = request;
  enter(job);
  changed_.insert(job.segment);
  return {Result::kDone, &job};
}

Result Jobs::remove(std::string_view worker, std::string_view id) {
  const auto at = jobs_.find(id);
  if (at == jobs_.end()) return Result::kNotFound;
  Job& job = at->second;
  if (job.worker != worker) return Result::kNotOwner;
  if (job.state == State::kDeleted) return Result::kDone;
  leave(job);
  job.state = State::kDeleted;
  job.body.clear();
  job.sequence = ++last_sequence_;
  enter(job);
  changed_.insert(job.segment);
  forget_oldest();
  return Result::kDone;
}

const Job* Jobs::find(std::string_view id) const {
  const auto at = jobs_.find(id);
  return at == jobs_.end() ? nullptr : &at->second;
}

Stats Jobs::stats() const {
  return {ready_.size(), jobs_.size() - ready_.size() - deleted_.size(), deleted_.size(), bytes_, segments_.size()};
}

std::string Jobs::encode(std::uint32_t segment) const {
  const std::set<Job*>& jobs = segments_.at(segment).jobs;
  std::string out(kMagic, sizeof kMagic);
  append_number(out, kFormat);
  append_number(out, jobs.size());
  for (const Job* job : jobs) {
    append_number(out, job->sequence);
    append_number(out, static_cast<std::uint64_t>(job->state));
    for (const std::string* text : {&job->id, &job->body, &job->worker, &job->request}) append_text(out, *text);
  }
  return out;
}

void Jobs::load(std::span<const std::byte> bytes) {
  const auto segment = static_cast<std::uint32_t>(segments_.size());
  segments_.emplace_back();
  Cutter cutter(bytes);
  if (cutter.take(sizeof kMagic) != std::string_view(kMagic, sizeof kMagic))
    throw Damaged("a checkpoint of the queue's name is no segment of a queue");
  if (const auto format = cutter.number(); format != kFormat)
    throw Damaged("a saved segment has format " + std::to_string(format) + ", this release reads " +
                  std::to_string(kFormat));
  for (std::uint64_t left = cutter.number(); left > 0; --left) {
    Job job;
    job.sequence = cutter.number();
    const std::uint64_t state = cutter.number();
    if (state < 1 || state > 3) throw Damaged("a saved job has state " + std::to_string(state));
    job.state = static_cast<State>(state);
    job.id = cutter.text(kMaxNameBytes);
    job.body = cutter.text(kMaxBodyBytes);
    job.worker = cutter.text(kMaxNameBytes);
    job.request = cutter.text(kMaxNameBytes);
    job.segment = segment;
    last_sequence_ = std::max(last_sequence_, job.sequence);
    const auto [at, is_new] = jobs_.emplace(job.id, std::move(job));
    if (!is_new) throw Damaged("job " + at->first + " is saved in two segments");
    enter(at->second);
  }
  if (!cutter.empty()) throw Damaged("a saved segment has bytes behind its end");
  forget_oldest();
}

void Jobs::load_empty() {
  changed_.insert(segments());
  segments_.emplace_back();
}

}  // namespace queue
