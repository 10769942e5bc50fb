// SPDX-License-Identifier: Apache-2.0
#include "daemon/state_writer.h"

#include <csignal>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

namespace rk::daemon {

struct StateWriter::Shared {
  struct Wanted {
    std::uint64_t token = 0;
    Bytes bytes;
  };
  Shared(const StateFiles& to, io::EventLoop& on, Done call) : files(to), loop(on), done(std::move(call)) {}

  const StateFiles& files;
  io::EventLoop& loop;
  Done done;  // loop thread; empty once the writer is gone
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Wanted> wanted;  // guarded by `mutex`, as the next
  bool ending = false;

  static void run(const std::shared_ptr<Shared>& self) {
    for (;;) {
      Wanted next;
      {
        std::unique_lock lock(self->mutex);
        self->changed.wait(lock, [&] { return self->wanted || self->ending; });
        if (!self->wanted) return;
        next = std::move(*self->wanted);
        self->wanted.reset();
      }
      Status status = self->files.write(StateKind::kRing, next.bytes);
      self->loop.post([self, token = next.token, status = std::move(status)] {
        if (self->done) self->done(token, status);
      });
    }
  }
};

StateWriter::StateWriter(const StateFiles& files, io::EventLoop& loop, Done done)
    : shared_(std::make_shared<Shared>(files, loop, std::move(done))) {
  // Signals are the loop's business: the thread inherits a mask that blocks them all.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([shared = shared_] { Shared::run(shared); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

StateWriter::~StateWriter() {
  shared_->done = {};
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->ending = true;
  }
  shared_->changed.notify_one();
  thread_.join();
}

void StateWriter::write(std::uint64_t token, Bytes bytes) {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->wanted = Shared::Wanted{token, std::move(bytes)};
  }
  shared_->changed.notify_one();
}

}  // namespace rk::daemon
