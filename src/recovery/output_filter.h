// SPDX-License-Identifier: Apache-2.0
// Makes one output stream of one process appear exactly once, however often its community rolls back.
//
// A stream is a sequence of lines, numbered from 0 at the start of the program's first life; every life prints line n
// again as line n. The first version of a line that was shown stands: a line printed again is swallowed by its number
// and compared by checksum. The unfinished last line is held back, because a life that dies in the middle of a line
// prints it again from its beginning. A line longer than kMaxLineBytes counts as several lines, cut every
// kMaxLineBytes from its beginning, so the numbers do not depend on how the bytes arrive.
//
// A life that is told to restore a checkpoint prints what no earlier one did ("restored version 3") until it has done
// so. suspend() sets that aside: it has no number, is not compared and not shown, unless no restore follows; then it
// probably says why, and finish() shows the newest of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rk::recovery {

inline constexpr std::size_t kMaxLineBytes = std::size_t{1} << 20U;
// Checksums kept for comparison: of the last this many lines of a stream. Older ones are swallowed uncompared.
inline constexpr std::size_t kMaxComparableLines = std::size_t{1} << 20U;

struct OutputCounts {
  std::uint64_t shown = 0;      // lines
  std::uint64_t swallowed = 0;  // printed again
  std::uint64_t compared = 0;   // of those
  std::uint64_t differing = 0;  // of those
  std::uint64_t aside = 0;      // printed between suspend() and resume(): in none of the above
};

struct DifferingLine {
  std::uint64_t number = 0;  // from 0
  std::string text;          // as printed again, at most kMaxDifferingBytes
};
inline constexpr std::size_t kMaxDifferingBytes = 400;
inline constexpr std::size_t kMaxAsideBytes = 65536;  // kept of what is set aside

class OutputFilter {
 public:
  // Bytes of the current life; appends to `out` what is to be shown.
  void feed(std::string_view bytes, std::string& out);
  // The life is over and another one will follow: it prints from line 0 unless resume() says otherwise.
  void restart();
  // The life is the last one: shows the unfinished line, and what was set aside.
  void finish(std::string& out);
  // Lines of the current life, whole ones, counted from the start of the first life.
  std::uint64_t position() const { return next_; }
  // What follows is no part of the output, up to resume(). The unfinished line belongs to it: it ends differently.
  void suspend() { suspended_ = true; }
  // The current life prints line `position` next. Bytes held back are dropped: the caller flushed before it asked.
  void resume(std::uint64_t position);

  const OutputCounts& counts() const { return counts_; }
  const std::optional<DifferingLine>& first_difference() const { return difference_; }

 private:
  void line(std::string_view text, std::string& out);
  void set_aside(std::string_view text);

  std::string held_;   // the unfinished line
  std::string aside_;  // the newest of what was printed since suspend()
  bool suspended_ = false;
  std::uint64_t next_ = 0;        // number of the next whole line of the current life
  std::uint64_t first_kept_ = 0;  // number of the line whose checksum is sums_[sums_start_]
  std::size_t sums_start_ = 0;
  std::vector<std::uint64_t> sums_;
  OutputCounts counts_;
  std::optional<DifferingLine> difference_;
};

}  // namespace rk::recovery
