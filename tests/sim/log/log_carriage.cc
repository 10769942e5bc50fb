// SPDX-License-Identifier: Apache-2.0
// The part of the simulated job that carries the log between its two nodes, in frames as they are on the wire.
#include "tests/sim/log/log_cluster.h"

namespace rk::log {

namespace {

constexpr std::uint64_t kPumpUs = 300;
constexpr std::uint64_t kResendUs = 3000;

}  // namespace

// A new life of `dest`: its end of the stream from `source`.
void LogCluster::connect(std::uint32_t source, std::uint32_t dest) {
  if (plan_.same_node(source, dest)) return;
  sinks_[{source, dest}] =
      std::make_unique<CarrierSink>(processes_[dest]->log().inbox(), dest,
                                    CarrierSink::Config{JobId(kJob), source, Incarnation(community(dest).life)});
}

// What the two servers do for one stream, now and then.
void LogCluster::pump(std::uint32_t source, std::uint32_t dest) {
  clock_.after(kPumpUs, [this, source, dest] { pump(source, dest); });
  auto& carrier = carriers_[{source, dest}];
  if (carrier == nullptr) {
    const auto view = SegmentView::open(ByteView(memory_[source]->data, kSegmentBytes), identity(source));
    if (!view) return;
    carrier = std::make_unique<CarrierSource>(*view, CarrierSource::Config{JobId(kJob), dest, 16, kResendUs});
  }
  for (;;) {
    auto frame = carrier->next(clock_.now_us());
    if (!frame) return checker_.violate(frame.error().message);
    if (!*frame) break;
    send_frame(source, dest, wire::to_frame(**frame));
  }
  const auto& sink = sinks_[{source, dest}];
  if (sink != nullptr && !sink->confirmed()) send_frame(dest, source, wire::to_frame(sink->message()));
}

void LogCluster::send_frame(std::uint32_t from, std::uint32_t to, const wire::Frame& frame) {
  const auto node = [&](std::uint32_t rank) { return plan_.node_of[plan_.community_of[rank]]; };
  network_.send(node(from), node(to), wire::encode_frame(frame));
}

void LogCluster::deliver(const Bytes& bytes) {
  wire::FrameCutter cutter;
  cutter.feed(bytes);
  const auto frame = cutter.next();
  if (!frame || !*frame) return checker_.violate("a frame that cannot be read");
  if ((*frame)->type == wire::LogRecords::kType) {
    const auto message = wire::from_frame<wire::LogRecords>(**frame);
    if (!message) return checker_.violate(message.error().message);
    const auto& sink = sinks_[{message->source.value, message->dest.value}];
    if (sink == nullptr) return;  // the receiver is down
    const auto answer = sink->take(*message);
    if (!answer) return checker_.violate(answer.error().message);
    return send_frame(message->dest.value, message->source.value, wire::to_frame(*answer));
  }
  if ((*frame)->type == wire::LogArrived::kType) {
    const auto message = wire::from_frame<wire::LogArrived>(**frame);
    if (!message) return checker_.violate(message.error().message);
    const auto& carrier = carriers_[{message->source.value, message->dest.value}];
    if (carrier != nullptr) carrier->arrived(*message, clock_.now_us());
    return;
  }
  const auto message = wire::from_frame<wire::LogFrom>(**frame);
  if (!message) return checker_.violate(message.error().message);
  const auto& carrier = carriers_[{message->source.value, message->dest.value}];
  if (carrier != nullptr) carrier->from(*message);
}

}  // namespace rk::log
