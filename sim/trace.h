// SPDX-License-Identifier: Apache-2.0
// What happened in a run: a digest of all of it, by which two runs are compared, and its text when somebody will read
// it. Text is made only then: a campaign runs without it, and runs a failing seed once more with it.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <string>

#include "sim/scheduler.h"

namespace rk::sim {

class Trace {
 public:
  explicit Trace(bool with_text, std::size_t max_lines = 100000) : with_text_(with_text), max_lines_(max_lines) {}

  // `numbers` identify the event for the digest; `make_text` is called only if text is kept.
  template <class MakeText>
  void note(const Scheduler& clock, std::initializer_list<std::uint64_t> numbers, MakeText make_text) {
    mix(clock.now_us());
    for (const std::uint64_t number : numbers) mix(number);
    if (with_text_) append(clock.now_us(), make_text());
  }
  std::uint64_t digest() const { return digest_; }
  // The last `lines` lines, each with its time in milliseconds.
  std::string tail(std::size_t lines) const;

 private:
  void mix(std::uint64_t number);
  void append(std::uint64_t time_us, const std::string& text);

  bool with_text_;
  std::size_t max_lines_;
  std::uint64_t digest_ = 0x9e3779b97f4a7c15ULL;
  std::deque<std::string> lines_;
};

}  // namespace rk::sim
