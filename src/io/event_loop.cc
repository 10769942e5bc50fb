// SPDX-License-Identifier: Apache-2.0
#include "io/event_loop.h"

#define ASIO_STANDALONE 1
#define ASIO_NO_DEPRECATED 1
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <ctime>
#include <utility>

#include "io/wakefulness.h"

namespace rk::io {
namespace {

std::uint64_t now_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace

struct EventLoop::State {
  explicit State(std::uint64_t awake_us) : wakefulness(awake_us) {}

  asio::io_context context{1};
  Wakefulness wakefulness;
  asio::signal_set signals{context};
  std::function<void(int)> on_signal;
  bool in_turn = false;
  std::vector<std::function<void()>> turn_ends;

  // Every callback is called through this one.
  template <class Callback>
  void turn(const Callback& callback) {
    in_turn = true;
    callback();
    for (std::size_t i = 0; i < turn_ends.size(); ++i) {  // one may add others
      const std::function<void()> work = std::move(turn_ends[i]);
      work();
    }
    turn_ends.clear();
    in_turn = false;
  }

  void await_signal() {
    signals.async_wait([this](const std::error_code& error, int number) {
      if (error) return;
      turn([&] { on_signal(number); });
      await_signal();
    });
  }
};

EventLoop::EventLoop(std::uint64_t awake_us) : state_(std::make_unique<State>(awake_us)) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() {
  asio::io_context& context = state_->context;
  Wakefulness& wakefulness = state_->wakefulness;
  while (!context.stopped()) {
    if (!wakefulness.awake())
      context.run_one();
    else if (context.poll() > 0)
      wakefulness.worked();
    else
      wakefulness.looked(now_us());
  }
}
void EventLoop::expect_more() { state_->wakefulness.expect(now_us()); }
void EventLoop::stop() { state_->context.stop(); }
void EventLoop::post(std::function<void()> work) {
  asio::post(state_->context, [state = state_.get(), work = std::move(work)] { state->turn(work); });
}

void EventLoop::at_turn_end(std::function<void()> work) {
  if (!state_->in_turn) return post(std::move(work));
  state_->turn_ends.push_back(std::move(work));
}

void EventLoop::on_signals(const std::vector<int>& numbers, std::function<void(int)> callback) {
  state_->on_signal = std::move(callback);
  for (const int number : numbers) state_->signals.add(number);
  state_->await_signal();
}

std::uint64_t EventLoop::now_ms() const {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

struct Timer::State {
  explicit State(EventLoop::State& events) : loop(events), timer(events.context) {}
  EventLoop::State& loop;
  asio::steady_timer timer;
  std::uint64_t generation = 0;  // of the last start or cancel: an expiry already queued for an older one is void
};

Timer::Timer(EventLoop& loop) : state_(std::make_shared<State>(*loop.state_)) {}
Timer::~Timer() {
  try {
    cancel();
  } catch (...) {  // NOLINT(bugprone-empty-catch): the expiry that then comes is void by its generation
  }
}

void Timer::start(std::uint64_t delay_ms, std::function<void()> callback) {
  const std::uint64_t generation = ++state_->generation;
  state_->timer.expires_after(std::chrono::milliseconds(delay_ms));
  state_->timer.async_wait([state = state_, generation, callback = std::move(callback)](const std::error_code& error) {
    if (!error && state->generation == generation) state->loop.turn(callback);
  });
}

void Timer::cancel() {
  ++state_->generation;
  state_->timer.cancel();
}

struct Watch::State : std::enable_shared_from_this<Watch::State> {
  State(EventLoop::State& events, int fd) : loop(events), descriptor(events.context, fd) {}

  struct Direction {
    std::function<void()> callback;
    bool wanted = false;
    bool armed = false;  // an asio wait is pending
  };

  void arm(Direction& direction, asio::posix::stream_descriptor::wait_type type) {
    if (closed || direction.armed || !direction.wanted) return;
    direction.armed = true;
    descriptor.async_wait(type, [self = shared_from_this(), &direction, type](const std::error_code& error) {
      direction.armed = false;
      if (error || self->closed || !direction.wanted) return;
      self->loop.turn(direction.callback);
      self->arm(direction, type);
    });
  }

  EventLoop::State& loop;
  asio::posix::stream_descriptor descriptor;
  Direction read;
  Direction write;
  bool closed = false;
};

Watch::Watch(EventLoop& loop, int fd, std::function<void()> on_readable, std::function<void()> on_writable)
    : state_(std::make_shared<State>(*loop.state_, fd)) {
  state_->read.callback = std::move(on_readable);
  state_->write.callback = std::move(on_writable);
}

Watch::~Watch() {
  state_->closed = true;
  state_->descriptor.release();  // cancels the waits; the descriptor is the caller's
}

void Watch::want_read(bool wanted) {
  state_->read.wanted = wanted;
  state_->arm(state_->read, asio::posix::stream_descriptor::wait_read);
}

void Watch::want_write(bool wanted) {
  state_->write.wanted = wanted;
  state_->arm(state_->write, asio::posix::stream_descriptor::wait_write);
}

}  // namespace rk::io
