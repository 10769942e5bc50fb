// SPDX-License-Identifier: Apache-2.0
// What the user sees: the program's output, passed on whole, our own lines, and, on a terminal, one progress line that
// gives way to both. Never blocks the launcher: a consumer that does not read makes full() true, and the pipes of the
// processes are then left unread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "launch/loop.h"
#include "launch/signals.h"

namespace rk::launch {

class Screen {
 public:
  // `drained` is called when full() has become false again.
  Screen(Loop& loop, bool quiet);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void on_drained(std::function<void()> drained) { drained_ = std::move(drained); }
  // `stream` is 1 or 2.
  void show(int stream, std::string_view text);
  // One line of ours, on standard error.
  void say(std::string_view line);
  // The progress line, shown on a terminal only.
  void progress(const std::string& line);
  bool has_progress() const { return terminal_; }
  bool full() const;
  // The consumer of standard output has gone away.
  bool broken() const { return out_.broken; }
  // Waits until everything is written, or, with `signals`, until one asks us to end; after one that has done so already
  // (`told_by`) only as long as the consumers go on reading. Returns the number of the signal that ended the wait, 0 if
  // none did: a stream that takes nothing any more then leads to /dev/null, so that no later line is stuck in it.
  int flush(const Signals* signals = nullptr, int told_by = 0);

 private:
  struct Stream {
    int fd = 1;
    std::string waiting;
    bool watched = false;
    bool broken = false;
  };
  void write_some(Stream& stream);
  void watch(Stream& stream);
  void erase_progress();
  static void give_up(Stream& stream);

  Loop& loop_;
  std::function<void()> drained_;
  Stream out_{1, {}, false, false};
  Stream err_{2, {}, false, false};
  bool terminal_ = false;
  std::string progress_;    // on the screen now
  bool line_open_ = false;  // the last text shown has no newline: a progress line would overwrite it
};

}  // namespace rk::launch
