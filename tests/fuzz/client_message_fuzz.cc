// SPDX-License-Identifier: Apache-2.0
// Any payload as any message that a client may send (the first byte chooses): decoded or refused, and what is decoded
// encodes to the same bytes, so that no two byte strings mean the same request.
#include "base/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "wire/client_messages.h"

namespace rk::fuzz {
namespace {

template <class... Messages>
void decode_one(std::size_t choice, ByteView payload) {
  std::size_t number = 0;
  const auto attempt = [&]<class Message>() {
    if (number++ != choice % sizeof...(Messages)) return;
    const auto message = wire::decode<Message>(payload, "message");
    if (!message) return;
    const Bytes again = wire::encode(*message);
    RK_CHECK(again == Bytes(payload.begin(), payload.end()));
  };
  (attempt.template operator()<Messages>(), ...);
}

}  // namespace

void run(ByteView input) {
  if (input.empty()) return;
  using namespace wire;
  decode_one<ClientHello, StatusQuery, CheckpointBegin, CheckpointCommit, CheckpointAbandon, CheckpointOpen,
             CheckpointList, CheckpointDelete, GroupCommit, GroupQuery, JobCreate, JobAttach, SegmentOpen, LogGrow,
             JobFence, JobRemove, StatusAnswer, EventsSubscribe, ServerEvent, RingQuery, RingAnswer, CheckpointInspect,
             CheckpointInspected, CheckpointListAnswer, CheckpointPut, CheckpointDamaged, CheckpointVerify,
             CheckpointVerified>(std::to_integer<std::size_t>(input[0]), input.subspan(1));
}

}  // namespace rk::fuzz
