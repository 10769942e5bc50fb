// SPDX-License-Identifier: Apache-2.0
#include "daemon/kept_memory.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "base/checksum.h"
#include "daemon/clock.h"
#include "daemon/logger.h"
#include "wire/version_sum.h"

namespace rk::daemon {
namespace {

constexpr std::uint64_t kRecords = 0;                                    // the number of their file
constexpr std::uint64_t kLeastRecordsBytes = std::uint64_t{512} << 10U;  // doubled until half of it is free

// Of a record's key: what kind it is.
constexpr std::byte kOfCore{1};
constexpr std::byte kOfSlot{2};

Bytes slot_key(keep::SlotId slot) {
  Bytes key{kOfSlot};
  ByteWriter(key).integer(slot.value);
  return key;
}

shm::RecordMemory::Label label_of(const KeptMemory::Life& life, Incarnation incarnation) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.integer(life.node.value);
  writer.integer(life.cluster.value);
  writer.integer(incarnation.value);
  shm::RecordMemory::Label label{};
  std::copy(bytes.begin(), bytes.end(), label.begin());
  return label;
}

// What the records of the life before say.
struct Told {
  keep::Records core;
  std::map<std::uint64_t, std::uint64_t> files;  // by slot
};

Result<Told> read_records(const shm::MemoryFile& file, const KeptMemory::Life& life) {
  RK_TRY(const shm::Mapping mapping, shm::Mapping::map(file, shm::Access::kReadOnly));
  RK_TRY(auto contents, shm::RecordMemory::read(mapping.bytes()));
  if (!life.before || contents.label != label_of(life, life.before))
    return fail(ErrorCode::kNotFound, "another life of this server has been in between");
  Told out;
  for (auto& [key, value] : contents.records) {
    if (key.front() == kOfCore) {
      out.core.emplace_back(Bytes(key.begin() + 1, key.end()), value);
      continue;
    }
    ByteReader slot(ByteView(key).subspan(1));
    ByteReader number(value);
    const auto at = slot.integer<std::uint64_t>();
    out.files[at] = number.integer<std::uint64_t>();
    if (slot.failed() || number.failed()) return fail(ErrorCode::kCorrupt, "the records are damaged");
  }
  return out;
}

bool proved(ByteView bytes, const wire::VersionContent& content) {
  auto table = content.sections;
  for (wire::SectionPlace& section : table) {
    if (section.offset > bytes.size() || section.size > bytes.size() - section.offset) return false;
    section.sum = checksum(bytes.subspan(section.offset, section.size));
  }
  return wire::version_sum(table) == content.sum;
}

std::uint64_t size_of(const shm::Descriptor& file) {
  struct stat info {};
  return ::fstat(file.get(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

// The version's bytes, if they are there, fit the budget, and are what they were.
std::optional<KeptMemory::Slot> prove(const keep::RememberedEntry& entry, const keep::RememberedVersion& version,
                                      const Told& told, std::map<std::uint64_t, shm::Descriptor>& files,
                                      shm::MemoryBudget& budget) {
  const auto number = told.files.find(version.slot.value);
  if (number == told.files.end()) return std::nullopt;
  const auto file = files.find(number->second);
  if (file == files.end()) return std::nullopt;
  KeptMemory::Slot slot{version.slot, entry.key.owner, version.content.total, number->second, {}, {}};
  const std::uint64_t bytes = size_of(file->second);
  auto adopted = shm::MemoryFile::adopt(std::move(file->second), std::max(bytes, version.content.total));
  files.erase(file);
  if (!adopted || !budget.take(bytes)) return std::nullopt;
  slot.file = *std::move(adopted);
  auto mapping = shm::Mapping::map(slot.file, shm::Access::kReadWrite);
  if (!mapping || !proved(mapping->bytes(), version.content)) {
    budget.give(bytes);
    return std::nullopt;
  }
  slot.mapping = *std::move(mapping);
  return slot;
}

}  // namespace

Result<std::unique_ptr<KeptMemory>> KeptMemory::open(DescriptorHolder holder, std::vector<DescriptorHolder::Held> held,
                                                     const Life& life, shm::MemoryBudget& budget, Returned& returned) {
  std::unique_ptr<KeptMemory> kept(new KeptMemory(std::move(holder), life, budget));
  kept->take_back(std::move(held), returned);
  if (!kept->failure_.empty()) return fail(ErrorCode::kUnavailable, kept->failure_);
  return kept;
}

KeptMemory::~KeptMemory() {
  if (records_.file()) budget_.give(records_.file().size());
}

void KeptMemory::take_back(std::vector<DescriptorHolder::Held> held, Returned& returned) {
  std::map<std::uint64_t, shm::Descriptor> files;
  for (DescriptorHolder::Held& one : held) {
    last_number_ = std::max(last_number_, one.number);
    files[one.number] = std::move(one.descriptor);
  }
  Told told;
  Result<keep::Memory> memory;
  if (const auto records = files.find(kRecords); records != files.end()) {
    const std::uint64_t bytes = size_of(records->second);
    auto file = shm::MemoryFile::adopt(std::move(records->second), bytes);
    auto read = file ? read_records(*file, life_) : Result<Told>(tl::unexpected(file.error()));
    if (read) memory = keep::read_memory(read->core);
    if (read && memory)
      told = *std::move(read);
    else
      logger::warn("what the life before of this server held is not used: " +
                   (read ? memory.error().message : read.error().message));
    files.erase(records);
  }
  const std::uint64_t began_ms = since_epoch<std::chrono::milliseconds, std::chrono::steady_clock>();
  std::uint64_t bytes = 0;
  std::size_t missing = 0;
  shm::RecordMemory::Records records;
  std::vector<std::uint64_t> numbers;
  numbers.reserve(files.size());
  for (const auto& [number, file] : files) numbers.push_back(number);
  if (memory) {
    for (const auto& [key, value] : told.core) {
      Bytes prefixed{kOfCore};
      prefixed.insert(prefixed.end(), key.begin(), key.end());
      records.emplace(std::move(prefixed), value);
    }
    for (keep::RememberedEntry& entry : memory->entries) {
      std::vector<Version> gone;
      for (const keep::RememberedVersion& version : entry.versions) {
        if (!version.slot) continue;
        auto slot = prove(entry, version, told, files, budget_);
        if (!slot) {
          gone.push_back(version.content.version);
          continue;
        }
        bytes += slot->bytes;
        Bytes number;
        ByteWriter(number).integer(slot->number);
        records.emplace(slot_key(slot->slot), std::move(number));
        std::erase(numbers, slot->number);
        returned.slots.push_back(*std::move(slot));
      }
      missing += gone.size();
      for (const Version version : gone) keep::forget_version(entry, version);
    }
    if (!told.core.empty()) returned.memory = *std::move(memory);
  }
  if (const Status written = write_anew(records); !written) return give_up(written.error());
  for (const std::uint64_t number : numbers) drop(number);
  if (!returned.memory) return;
  logger::info("the life before of this server left " + std::to_string(returned.slots.size()) + " versions of " +
               std::to_string(bytes) + " bytes, proved in " +
               std::to_string(since_epoch<std::chrono::milliseconds, std::chrono::steady_clock>() - began_ms) + " ms");
  if (missing > 0)
    logger::error(std::to_string(missing) + " versions that it left are damaged or do not fit the budget");
}

// In place of the records before: those are there until these are with the holder.
Status KeptMemory::write_anew(const shm::RecordMemory::Records& records) {
  const std::uint64_t used = shm::RecordMemory::bytes_for(records, 0);
  std::uint64_t bytes = kLeastRecordsBytes;
  while (bytes < 2 * used) bytes *= 2;
  RK_TRY_VOID(budget_.take(bytes));
  auto fresh = shm::RecordMemory::create(label_of(life_, life_.incarnation), records, bytes - used);
  Status held = fresh ? holder_->hold(kRecords, fresh->file().descriptor()) : tl::unexpected(fresh.error());
  if (!held) {
    budget_.give(bytes);
    return held;
  }
  if (records_.file()) budget_.give(records_.file().size());
  records_ = *std::move(fresh);
  return {};
}

void KeptMemory::write(ByteView key, ByteView value) {
  if (!holder_ || records_.append(key, value)) return;
  auto contents = records_.contents();
  Status written = contents ? Status() : tl::unexpected(contents.error());
  if (written) {
    contents->records.erase(Bytes(key.begin(), key.end()));
    if (!value.empty()) contents->records.emplace(Bytes(key.begin(), key.end()), Bytes(value.begin(), value.end()));
    written = write_anew(contents->records);
  }
  if (!written) give_up(written.error());
}

void KeptMemory::remember(ByteView key, ByteView value) {
  Bytes prefixed{kOfCore};
  prefixed.insert(prefixed.end(), key.begin(), key.end());
  write(prefixed, value);
}

std::uint64_t KeptMemory::hold(const shm::MemoryFile& file) {
  ++last_number_;
  if (!holder_) return last_number_;
  if (const Status held = holder_->hold(last_number_, file.descriptor()); !held) give_up(held.error());
  return last_number_;
}

void KeptMemory::drop(std::uint64_t number) {
  if (!holder_) return;
  if (const Status dropped = holder_->drop(number); !dropped) give_up(dropped.error());
}

void KeptMemory::place(keep::SlotId slot, std::uint64_t number) {
  Bytes value;
  ByteWriter(value).integer(number);
  write(slot_key(slot), value);
}

void KeptMemory::unplace(keep::SlotId slot) { write(slot_key(slot), {}); }

void KeptMemory::end() {
  if (holder_) holder_->end();
  holder_.reset();
}

void KeptMemory::give_up(const Error& why) {
  records_.revoke();
  holder_.reset();
  failure_ = why.message;
  logger::error("nothing that this server keeps outlives it from now on: " + why.message);
}

}  // namespace rk::daemon
