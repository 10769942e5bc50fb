// SPDX-License-Identifier: Apache-2.0
#include "sim/trace.h"

#include <cstdio>

namespace rk::sim {

void Trace::mix(std::uint64_t number) {
  digest_ = (digest_ ^ number) * 0x100000001b3ULL;
  digest_ ^= digest_ >> 29U;
}

void Trace::append(std::uint64_t time_us, const std::string& text) {
  char stamp[32];
  std::snprintf(stamp, sizeof stamp, "%10.3f ms  ", static_cast<double>(time_us) / 1000.0);
  lines_.push_back(stamp + text);
  if (lines_.size() > max_lines_) lines_.pop_front();
}

std::string Trace::tail(std::size_t lines) const {
  std::string text;
  for (std::size_t i = lines_.size() > lines ? lines_.size() - lines : 0; i < lines_.size(); ++i)
    text += lines_[i] + "\n";
  return text;
}

}  // namespace rk::sim
