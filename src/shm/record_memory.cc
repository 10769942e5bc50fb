// SPDX-License-Identifier: Apache-2.0
#include "shm/record_memory.h"

#include <atomic>
#include <cstring>

#include "base/check.h"
#include "base/checksum.h"

namespace rk::shm {
namespace {

constexpr std::uint32_t kMagic = 0x6d724b52;  // "RKrm"
constexpr std::uint16_t kMajor = 1;
constexpr std::uint16_t kMinor = 0;
constexpr std::uint32_t kFeatures = 0;
constexpr std::uint32_t kRequiredFeatures = 0xffff;
constexpr std::uint64_t kHeaderBytes = 64;
constexpr std::uint64_t kCountsOffset = 12;
constexpr std::uint64_t kEndOffset = 16;
constexpr std::uint64_t kLabelOffset = 24;
constexpr std::uint64_t kHeadBytes = 16;  // of a record

std::uint64_t record_bytes(std::uint64_t key, std::uint64_t value) { return (kHeadBytes + key + value + 7) / 8 * 8; }

template <class T>
T load(ByteView memory, std::uint64_t offset) {
  T value;
  std::memcpy(&value, memory.data() + offset, sizeof value);
  return value;
}

// Of the record that begins there, whose sizes are known to lie in the memory.
std::uint64_t record_sum(ByteView memory, std::uint64_t offset, std::uint64_t key, std::uint64_t value) {
  return checksum(memory.subspan(offset + 8, kHeadBytes - 8 + key + value));
}

template <class T>
void store(Mapping& mapping, std::uint64_t offset, T value) {
  // Another process may look at it after this one was killed anywhere: one store, not before those above it.
  std::atomic_ref<T>(*reinterpret_cast<T*>(mapping.data() + offset)).store(value, std::memory_order_release);
}

}  // namespace

std::uint64_t RecordMemory::bytes_for(const Records& records, std::uint64_t spare) {
  std::uint64_t bytes = kHeaderBytes + spare;
  for (const auto& [key, value] : records) bytes += record_bytes(key.size(), value.size());
  return round_up_to_page(bytes);
}

Result<RecordMemory> RecordMemory::create(const Label& label, const Records& records, std::uint64_t spare) {
  RecordMemory out;
  RK_TRY(out.file_, MemoryFile::create("ringkeep-records", bytes_for(records, spare)));
  RK_TRY_VOID(out.file_.touch(0, out.file_.size()));
  RK_TRY(out.mapping_, Mapping::map(out.file_, Access::kReadWrite));
  Bytes header;
  ByteWriter writer(header);
  writer.integer(kMagic);
  writer.integer(kMajor);
  writer.integer(kMinor);
  writer.integer(kFeatures);
  writer.integer(std::uint32_t{1});
  writer.integer(kHeaderBytes);
  header.insert(header.end(), label.begin(), label.end());
  RK_CHECK(header.size() == kHeaderBytes);
  std::memcpy(out.mapping_.data(), header.data(), header.size());
  out.end_ = kHeaderBytes;
  for (const auto& [key, value] : records) RK_CHECK(out.append(key, value));
  return out;
}

bool RecordMemory::append(ByteView key, ByteView value) {
  const std::uint64_t bytes = record_bytes(key.size(), value.size());
  if (bytes > mapping_.size() - end_ || key.size() > UINT32_MAX || value.size() > UINT32_MAX) return false;
  std::byte* const at = mapping_.data() + end_;
  const auto key_bytes = static_cast<std::uint32_t>(key.size());
  const auto value_bytes = static_cast<std::uint32_t>(value.size());
  std::memcpy(at + 8, &key_bytes, 4);
  std::memcpy(at + 12, &value_bytes, 4);
  if (!key.empty()) std::memcpy(at + kHeadBytes, key.data(), key.size());
  if (!value.empty()) std::memcpy(at + kHeadBytes + key.size(), value.data(), value.size());
  const std::uint64_t sum = record_sum(mapping_.bytes(), end_, key.size(), value.size());
  std::memcpy(at, &sum, 8);
  end_ += bytes;
  store(mapping_, kEndOffset, end_);
  return true;
}

void RecordMemory::revoke() {
  if (mapping_) store(mapping_, kCountsOffset, std::uint32_t{0});
}

Result<RecordMemory::Contents> RecordMemory::read(ByteView memory) {
  const auto damaged = [] { return fail(ErrorCode::kCorrupt, "the records are damaged"); };
  if (memory.size() < kHeaderBytes || load<std::uint32_t>(memory, 0) != kMagic) return damaged();
  const auto features = load<std::uint32_t>(memory, 8);
  if (load<std::uint16_t>(memory, 4) != kMajor || (features & kRequiredFeatures & ~kFeatures) != 0)
    return fail(ErrorCode::kVersionMismatch, "another release of ringkeep wrote the records");
  if (load<std::uint32_t>(memory, kCountsOffset) == 0)
    return fail(ErrorCode::kNotFound, "the records were given up by the server that wrote them");
  const auto end = load<std::uint64_t>(memory, kEndOffset);
  if (end < kHeaderBytes || end > memory.size()) return damaged();
  Contents out;
  std::memcpy(out.label.data(), memory.data() + kLabelOffset, out.label.size());
  for (std::uint64_t at = kHeaderBytes; at < end;) {
    if (end - at < kHeadBytes) return damaged();
    const std::uint64_t key_bytes = load<std::uint32_t>(memory, at + 8);
    const std::uint64_t value_bytes = load<std::uint32_t>(memory, at + 12);
    const std::uint64_t bytes = record_bytes(key_bytes, value_bytes);
    if (bytes > end - at || load<std::uint64_t>(memory, at) != record_sum(memory, at, key_bytes, value_bytes))
      return damaged();
    const ByteView key = memory.subspan(at + kHeadBytes, key_bytes);
    const ByteView value = memory.subspan(at + kHeadBytes + key_bytes, value_bytes);
    if (value.empty())
      out.records.erase(Bytes(key.begin(), key.end()));
    else
      out.records.insert_or_assign(Bytes(key.begin(), key.end()), Bytes(value.begin(), value.end()));
    at += bytes;
  }
  return out;
}

}  // namespace rk::shm
