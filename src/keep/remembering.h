// SPDX-License-Identifier: Apache-2.0
// The records of keep/memory.h, from what the core knows.
#pragma once

#include "keep/catalogue.h"
#include "keep/memory.h"

namespace rk::keep {

// The key of a name's record; that of the view's is empty.
Bytes memory_key(const wire::KeepKey& key);
RememberedEntry remembered(const Entry& entry);
Member to_member(const RememberedMember& member);
RememberedMember remembered(const Member& member);

}  // namespace rk::keep
