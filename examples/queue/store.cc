// SPDX-License-Identifier: Apache-2.0
#include "store.h"

#include <charconv>
#include <iostream>
#include <optional>
#include <span>

namespace queue {
namespace {

std::uint32_t segments_of(std::span<const std::byte> bytes) {
  const char* const begin = reinterpret_cast<const char*>(bytes.data());
  const char* const end = begin + bytes.size();
  std::uint32_t count = 0;
  if (std::from_chars(begin, end, count).ptr != end || bytes.empty() || count > kMaxSegments)
    throw Damaged("the queue's index is no number of segments");
  return count;
}

}  // namespace

void Store::claim(const std::string& name) {
  // A writer that is never committed: its server is the name's home from now on.
  const rk::Writer writer = client_.begin(name, {{"data", 0}});
}

Jobs Store::load(const Limits& limits) {
  Jobs jobs(limits);
  const std::string index = name_ + "index";
  claim(index);
  std::optional<rk::Reader> last;
  try {
    last = client_.find(index);
  } catch (const rk::Failure& failure) {
    if (failure.code() != RK_ERR_LOST || !accept_loss_) throw;
    std::cerr << "ringkeep-queue: starting empty: " << failure.words() << std::endl;
  }
  if (!last) {
    commit_index(0);
    return jobs;
  }
  segments_ = segments_of(last->section("data"));
  index_version_ = last->version();
  bool whole = true;
  for (std::uint32_t number = 0; number < segments_; ++number) whole = load_segment(number, jobs) && whole;
  // The loss is told once: what is left is the queue from now on.
  if (!whole) commit(jobs);
  return jobs;
}

// False: it is lost, and that is accepted.
bool Store::load_segment(std::uint32_t number, Jobs& jobs) {
  claim(segment_name(number));
  try {
    jobs.load(client_.read(segment_name(number)).section("data"));
    return true;
  } catch (const rk::Failure& failure) {
    if (failure.code() != RK_ERR_LOST || !accept_loss_) throw;
    std::cerr << "ringkeep-queue: going on without up to " << kSegmentJobs << " jobs: " << failure.words() << std::endl;
    jobs.load_empty();
    return false;
  }
}

void Store::commit(Jobs& jobs) {
  for (const std::uint32_t number : jobs.changed()) {
    const std::string bytes = jobs.encode(number);
    client_.put(segment_name(number), std::as_bytes(std::span(bytes)));
  }
  if (jobs.segments() > segments_) commit_index(jobs.segments());
  jobs.saved();
}

void Store::commit_index(std::uint32_t segments) {
  const std::string text = std::to_string(segments);
  index_version_ = client_.put(name_ + "index", std::as_bytes(std::span(text)));
  segments_ = segments;
}

void Store::confirm() {
  if (client_.read(name_ + "index").version() == index_version_) return;
  throw Superseded("another instance of this queue has taken over");
}

}  // namespace queue
