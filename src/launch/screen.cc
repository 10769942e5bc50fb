// SPDX-License-Identifier: Apache-2.0
#include "launch/screen.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace rk::launch {
namespace {

constexpr std::size_t kFullBytes = std::size_t{1} << 20U;
constexpr int kReaderPatienceMs = 1000;  // after a signal: for a consumer that reads nothing meanwhile

bool takes_more(int fd) {
  pollfd look{fd, POLLOUT, 0};
  return ::poll(&look, 1, 0) == 1;
}

}  // namespace

Screen::Screen(Loop& loop, bool quiet) : loop_(loop) {
  const char* kind = std::getenv("TERM");
  terminal_ = !quiet && ::isatty(2) == 1 && (kind == nullptr || std::strcmp(kind, "dumb") != 0);
}

Screen::~Screen() {
  drained_ = nullptr;  // whom it would tell has gone before us
  erase_progress();
  flush();
}

bool Screen::full() const { return out_.waiting.size() > kFullBytes || err_.waiting.size() > kFullBytes; }

void Screen::show(int stream, std::string_view text) {
  if (text.empty()) return;
  erase_progress();
  Stream& to = stream == 1 ? out_ : err_;
  if (to.broken) return;
  line_open_ = text.back() != '\n';
  to.waiting.append(text);
  watch(to);
}

void Screen::say(std::string_view line) {
  std::string text = "ringkeep: ";
  text += line;
  text += '\n';
  show(2, text);
}

void Screen::progress(const std::string& line) {
  if (!terminal_ || line_open_ || line == progress_ || !out_.waiting.empty() || !err_.waiting.empty() || !takes_more(2))
    return;
  const std::string text = "\r\x1b[K" + line;
  if (::write(2, text.data(), text.size()) < 0) return;
  progress_ = line;
}

void Screen::erase_progress() {
  if (progress_.empty()) return;
  progress_.clear();
  err_.waiting.insert(0, "\r\x1b[K");
  watch(err_);
  if (takes_more(err_.fd)) write_some(err_);  // before anything of the program shows on the same terminal
}

void Screen::watch(Stream& stream) {
  if (stream.watched || stream.waiting.empty()) return;
  stream.watched = true;
  loop_.watch(stream.fd, POLLOUT, [this, &stream](short) { write_some(stream); });
}

void Screen::write_some(Stream& stream) {
  const bool was_full = full();
  // poll() promises room for PIPE_BUF bytes only; more could block, for the descriptor is shared with others and
  // must stay blocking.
  const std::size_t size = std::min<std::size_t>(stream.waiting.size(), PIPE_BUF);
  const ssize_t done = ::write(stream.fd, stream.waiting.data(), size);
  if (done > 0) stream.waiting.erase(0, static_cast<std::size_t>(done));
  if (done < 0 && errno != EINTR && errno != EAGAIN) {
    stream.broken = true;
    stream.waiting.clear();
  }
  if (stream.waiting.empty() && stream.watched) {
    loop_.unwatch(stream.fd);
    stream.watched = false;
  }
  if (was_full && !full() && drained_) drained_();
}

int Screen::flush(const Signals* signals, int told_by) {
  int ended_by = 0;
  for (Stream* stream : {&out_, &err_}) {
    while (!stream->waiting.empty() && ended_by == 0) {
      // Before each write, whose reader may have stopped: it would block, and our signals with it.
      pollfd waits[] = {{stream->fd, POLLOUT, 0}, {signals != nullptr ? signals->fd() : -1, POLLIN, 0}};
      const int ready = ::poll(waits, 2, told_by != 0 ? kReaderPatienceMs : -1);
      if (ready < 0) continue;
      if (ready == 0) ended_by = told_by;
      if (waits[1].revents != 0) ended_by = signals->take_termination();
      if (waits[0].revents != 0) write_some(*stream);
    }
    if (stream->watched) loop_.unwatch(stream->fd);
    stream->watched = false;
  }
  if (ended_by != 0)
    for (Stream* stream : {&out_, &err_}) give_up(*stream);
  return ended_by;
}

void Screen::give_up(Stream& stream) {
  stream.waiting.clear();
  if (takes_more(stream.fd)) return;
  stream.broken = true;
  const shm::Descriptor null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (null) ::dup2(null.get(), stream.fd);
}

}  // namespace rk::launch
