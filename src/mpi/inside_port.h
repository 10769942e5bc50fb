// SPDX-License-Identifier: Apache-2.0
// The native library's queue of unexpected messages, as the matcher sees it: matched probes on carriers and inside
// communicators. Ranks are world ranks out here and native ranks in there.
#pragma once

#include <cstdint>
#include <optional>

#include "log/matcher.h"

namespace rk::mpi {

class NativeQueue : public log::InsidePort {
 public:
  std::optional<log::InsideMessage> try_match(std::uint64_t context, std::uint32_t source, std::int32_t tag) override;
  std::optional<log::InsideMessage> try_probe(std::uint64_t context, std::uint32_t source, std::int32_t tag) override;
};

}  // namespace rk::mpi
