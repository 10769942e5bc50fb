// SPDX-License-Identifier: Apache-2.0
#include "ring/memory.h"

#include "base/checksum.h"
#include "wire/codec.h"

namespace rk::ring {
namespace {

constexpr std::uint32_t kMemoryMagic = 0x53524b52;  // "RKRS"
constexpr std::uint16_t kMemoryMajor = 1;
constexpr std::uint16_t kMemoryMinor = 0;
constexpr std::size_t kSumSize = 8;

tl::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt,
              "the ring state of this server is damaged; remove it, and the server will join again without a memory");
}

}  // namespace

Bytes encode_memory(const Memory& memory) {
  Bytes out;
  ByteWriter writer(out);
  writer.integer(kMemoryMagic);
  writer.integer(kMemoryMajor);
  writer.integer(kMemoryMinor);
  writer.integer(wire::kFeatures);
  writer.integer(memory.since.value);
  wire::Encoder encoder(out);
  memory.committed.visit(encoder);
  memory.accepted.visit(encoder);
  memory.promised.visit(encoder);
  memory.accepted_ballot.visit(encoder);
  writer.integer(checksum(out));
  return out;
}

Result<Memory> decode_memory(ByteView bytes) {
  if (bytes.size() < kSumSize) return damaged();
  const ByteView body = bytes.first(bytes.size() - kSumSize);
  ByteReader sum(bytes.last(kSumSize));
  if (sum.integer<std::uint64_t>() != checksum(body)) return damaged();
  ByteReader reader(body);
  if (reader.integer<std::uint32_t>() != kMemoryMagic) return damaged();
  const auto major = reader.integer<std::uint16_t>();
  const auto minor = reader.integer<std::uint16_t>();
  const auto features = reader.integer<std::uint32_t>();
  if (major != kMemoryMajor || (features & wire::kRequiredFeatures & ~wire::kFeatures) != 0)
    return fail(ErrorCode::kVersionMismatch,
                "the ring state of this server was written by another release (format " + std::to_string(major) +
                    "); start that release, or remove the state to join again without a memory");
  Memory memory;
  memory.since = Incarnation(reader.integer<std::uint64_t>());
  wire::Decoder decoder(reader);
  memory.committed.visit(decoder);
  memory.accepted.visit(decoder);
  memory.promised.visit(decoder);
  memory.accepted_ballot.visit(decoder);
  if (!reader.finish("ring state", wire::rest_from(minor, kMemoryMinor)) || !wire::check_view(memory.committed))
    return damaged();
  if (memory.accepted.number && !wire::check_view(memory.accepted)) return damaged();
  if (memory.accepted_ballot > memory.promised) return damaged();
  return memory;
}

}  // namespace rk::ring
