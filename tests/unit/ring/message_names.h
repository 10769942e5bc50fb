// SPDX-License-Identifier: Apache-2.0
// The ring's messages as tests and traces write them.
#pragma once

#include "wire/ring_messages.h"

namespace rk::ring {

inline const char* name_of(const wire::RingMessage& message) {
  constexpr const char* kNames[] = {"HEARTBEAT", "ACCUSE", "PROBE", "PROPOSE", "ACK",
                                    "COMMIT",    "JOIN",   "LEAVE", "PREPARE", "PROMISE"};
  return kNames[message.index()];
}

}  // namespace rk::ring
