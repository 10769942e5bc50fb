// SPDX-License-Identifier: Apache-2.0
// Carries one outbox stream to a receiver on another node (wire/log_messages.h). Pure: the caller brings time, sends
// what it is given, and may lose, duplicate or reorder it.
//
// The sending end reads the sender's segment in place and keeps only two numbers: what is acknowledged and what was
// sent. It sends a window ahead and goes back to the first unacknowledged record when nothing moves for a while. The
// receiving end puts parts together and hands whole records to the inbox, which judges duplicates and order.
#pragma once

#include <cstdint>
#include <optional>

#include "log/inbox.h"
#include "log/stream.h"
#include "wire/log_messages.h"

namespace rk::log {

class CarrierSource {
 public:
  struct Config {
    JobId job;
    std::uint32_t dest = 0;
    std::uint64_t window_records = 64;  // sent and not acknowledged
    std::uint64_t resend_after_us = 200'000;
  };
  CarrierSource(const SegmentView& sender, const Config& config)
      : config_(config), source_(sender.rank()), cursor_(sender, config.dest) {}

  // The next frame to send, or nothing for now. Call again until it gives nothing, and when time passes.
  Result<std::optional<wire::LogRecords>> next(std::uint64_t now_us);
  void arrived(const wire::LogArrived& message, std::uint64_t now_us);
  void from(const wire::LogFrom& message);
  std::uint64_t acknowledged() const { return acknowledged_; }

 private:
  Result<bool> add_record(wire::LogRecords& frame, std::size_t& room);
  void go_back();

  Config config_;
  std::uint32_t source_;
  StreamCursor cursor_;
  std::uint64_t offset_ = 0;  // of the next part of the record at the cursor
  bool seek_ = false;         // the cursor must go to acknowledged_ + 1 first
  std::uint64_t acknowledged_ = 0;
  std::uint64_t sent_ = 0;  // last ssn that was ever sent whole
  std::uint64_t turn_ = 0;
  bool confirm_ = false;        // the turn is to be confirmed, if only with an empty frame
  std::uint64_t moved_us_ = 0;  // when something was sent first or acknowledged last
};

class CarrierSink {
 public:
  struct Config {
    JobId job;
    std::uint32_t source = 0;
    Incarnation life;  // of the receiver
  };
  CarrierSink(Inbox& inbox, std::uint32_t rank, const Config& config)
      : inbox_(inbox), rank_(rank), config_(config), turn_(config.life.value << kTurnBits) {
    begin_turn();
  }

  // Begins a turn: at the start, and after a jump of the inbox. Send its message(), and again until confirmed().
  void begin_turn();
  wire::LogFrom message() const;
  bool confirmed() const { return confirmed_; }
  // Takes a frame; what to answer. kCorrupt: close the connection.
  Result<wire::LogArrived> take(const wire::LogRecords& frame);

 private:
  static constexpr unsigned kTurnBits = 20;  // turns of one life
  Status take_record(const wire::CarriedRecord& record);

  Inbox& inbox_;
  std::uint32_t rank_;
  Config config_;
  std::uint64_t turn_;
  bool confirmed_ = false;
  std::uint64_t assembling_ = 0;  // ssn whose parts are coming
  Bytes parts_;
};

}  // namespace rk::log
