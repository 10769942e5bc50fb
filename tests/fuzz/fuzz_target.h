// SPDX-License-Identifier: Apache-2.0
// One fuzz target: linked with libFuzzer, or with replay.cc, which runs the corpus and mutations of it as a test.
#pragma once

#include "base/bytes.h"

namespace rk::fuzz {

// Must return for every input; a wrong result is an RK_CHECK.
void run(ByteView input);

}  // namespace rk::fuzz
