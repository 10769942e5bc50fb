// SPDX-License-Identifier: Apache-2.0
#include "client/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/checksum.h"
#include "client/async_commits.h"
#include "client/lease.h"
#include "client/marked_stores.h"
#include "wire/version_sum.h"

namespace rk::client {
namespace {

// The server answers within the timeout that it is given; its answer needs a moment on the way.
constexpr std::uint32_t kAnswerSlackMs = 2000;

const wire::SectionPlace* find_section(const std::vector<wire::SectionPlace>& sections, std::string_view name) {
  const auto at = std::find_if(sections.begin(), sections.end(), [&](const auto& item) { return item.name == name; });
  return at == sections.end() ? nullptr : &*at;
}

tl::unexpected<Error> no_section(std::string_view name) {
  return fail(ErrorCode::kNotFound, "the checkpoint has no section \"" + std::string(name) + "\"");
}

// A server that is not what it says must not make us read outside of what we mapped.
Status check_places(const std::vector<wire::SectionPlace>& sections, std::uint64_t total) {
  for (const wire::SectionPlace& section : sections)
    if (section.offset > total || section.size > total - section.offset || section.offset % wire::kPutAlignment != 0)
      return fail(ErrorCode::kCorrupt, "the server's answer places section \"" + section.name +
                                           "\" outside of its memory: install matching releases");
  return {};
}

// Empty for a version of no bytes.
Result<shm::MemoryFile> adopt_received(std::vector<shm::Descriptor>& descriptors, std::uint64_t total) {
  if (descriptors.size() != (total > 0 ? 1U : 0U))
    return fail(ErrorCode::kCorrupt, "the server's answer came with " + std::to_string(descriptors.size()) +
                                         " descriptors for " + std::to_string(total) +
                                         " bytes: install matching releases");
  if (total == 0) return shm::MemoryFile();
  auto file = shm::MemoryFile::adopt(std::move(descriptors.front()), total);
  RK_MARK(memory_adopted);
  return file;
}

Result<shm::Mapping> map_file(const shm::MemoryFile& file, shm::Access access) {
  if (!file) return shm::Mapping();
  RK_TRY(shm::Mapping mapping, shm::Mapping::map(file, access));
  RK_MARK(memory_mapped);
  RK_TRY_VOID(mapping.populate(0, file.size()));
  RK_MARK(memory_populated);
  return mapping;
}

// Takes an answer only while the server's lease lasts, and asks again for one that came later. `drop` undoes what came
// with a late one.
template <class Answer, class Request, class Drop>
Result<Answer> ask_in_time(Connection& connection, const Request& request, const CallOptions& options, Drop drop) {
  const std::uint64_t deadline_ms = boot_time_ms() + connection.timeout_ms();
  for (;;) {
    auto answer = connection.call<Answer>(request, options);
    if (!answer || !lease_over(answer->lease_until_ms)) return answer;
    drop(*answer);
    if (boot_time_ms() >= deadline_ms)
      return fail(ErrorCode::kTimeout,
                  "the answers of the server at " + connection.socket_path() +
                      " came after its lease from the ring had ended: is this process or the server short of processor "
                      "time?");
  }
}

// The version, mapped by nobody yet.
Result<wire::CheckpointContent> open_version(Connection& connection, const std::string& name, Version version,
                                             std::vector<shm::Descriptor>& descriptors) {
  return ask_in_time<wire::CheckpointContent>(
      connection, wire::CheckpointOpen{name, version}, {{}, &descriptors, 0}, [&](const wire::CheckpointContent& late) {
        descriptors.clear();
        if (late.slot != 0) static_cast<void>(connection.call<wire::Done>(wire::CheckpointRelease{late.slot}));
      });
}

// Does the server, under its lease, have this version with these bytes?
Status confirm_version(Connection& connection, const std::string& name, const wire::CommitAnswer& ok) {
  std::vector<shm::Descriptor> descriptors;
  RK_TRY(const auto content, open_version(connection, name, ok.version, descriptors));
  if (content.slot != 0) static_cast<void>(connection.call<wire::Done>(wire::CheckpointRelease{content.slot}));
  if (content.version == ok.version && content.sum == ok.sum) return {};
  return fail(ErrorCode::kNotFound, "the version has other bytes now");
}

Status confirm_group(Connection& connection, const std::string& group, const wire::CommitAnswer& ok) {
  RK_TRY(const auto answer, query_group(connection, group));
  if (answer.version == ok.version && wire::version_sum(answer.parts) == ok.sum) return {};
  return fail(ErrorCode::kNotFound, "the group has another version now");
}

// A connection that breaks after the request was sent says nothing about what became of it: the second copy may be
// complete, and a later read may find the version. Nor does an OK that is taken after the server's lease, for the ring
// may have gone on without that server meanwhile: `confirm` asks anew.
template <class Request, class Confirm>
Result<Committed> ask_to_commit(Connection& connection, const Request& request, Incarnation incarnation,
                                Confirm confirm) {
  const auto answer =
      connection.call<wire::CommitAnswer>(request, {incarnation, nullptr, request.timeout_ms + kAnswerSlackMs});
  if (!answer && connection.handed_over() && connection.broken()) return unknown_outcome(answer.error().message);
  if (!answer) return tl::unexpected(answer.error());
  if (answer->result == wire::CommitResult::kOk && lease_over(answer->lease_until_ms))
    if (const Status confirmed = confirm(*answer); !confirmed)
      return unknown_outcome("the server's answer came after its lease from the ring had ended, and then: " +
                             confirmed.error().message);
  RK_MARK(commit_answered);
  return outcome_of(*answer);
}

}  // namespace

Result<Committed> outcome_of(const wire::CommitAnswer& answer) {
  switch (answer.result) {
    case wire::CommitResult::kOk:
      return Committed{answer.version, answer.sum};
    case wire::CommitResult::kFailed:
      return fail(ErrorCode::kUnavailable, "nothing was committed: " + answer.reason);
    case wire::CommitResult::kUnknown:
      return fail(ErrorCode::kTimeout, "whether the version is committed is unknown: " + answer.reason);
  }
  return fail(ErrorCode::kCorrupt, "the server's answer to a commit has an unknown result: install matching releases");
}

tl::unexpected<Error> unknown_outcome(const std::string& why) {
  return fail(ErrorCode::kTimeout, "whether the version is committed is unknown, read to learn it: " + why);
}

void fill(std::span<std::byte> place, ByteView bytes) {
  if (bytes.empty()) return;
  const std::size_t first = RK_MARKED_PIECE(bytes.size());
  std::memcpy(place.data(), bytes.data(), first);
  RK_MARK(slot_half_filled);
  std::memcpy(place.data() + first, bytes.data() + first, bytes.size() - first);
  RK_MARK(slot_filled);
}

Result<Writer> Writer::begin(Connection& connection, const std::string& name,
                             const std::vector<wire::SectionSpec>& sections, Incarnation incarnation,
                             Addresses addresses) {
  std::vector<shm::Descriptor> descriptors;
  Writer writer(connection, name, incarnation);
  auto slot =
      connection.call<wire::CheckpointSlot>(wire::CheckpointBegin{name, sections}, {incarnation, &descriptors, 0});
  if (!slot) {
    writer.connection_ = nullptr;
    return tl::unexpected(slot.error());
  }
  writer.slot_ = *std::move(slot);
  RK_MARK(slot_received);
  RK_TRY_VOID(check_places(writer.slot_.sections, writer.slot_.total));
  for (const wire::SectionSpec& spec : sections) {
    const wire::SectionPlace* place = find_section(writer.slot_.sections, spec.name);
    if (place == nullptr || place->size != spec.size)
      return fail(ErrorCode::kCorrupt,
                  "the server's answer does not have the sections asked for: install matching releases");
  }
  RK_TRY_VOID(writer.map(descriptors, addresses));
  return writer;
}

Status Writer::map(std::vector<shm::Descriptor>& descriptors, Addresses addresses) {
  RK_TRY(const shm::MemoryFile file, adopt_received(descriptors, slot_.total));
  if (file && addresses == Addresses::kOurs) {
    reusable_ = IdleMappings::identify(file);
    if (reusable_) mapping_ = connection_->idle_mappings().take(*reusable_, file.size());
    if (mapping_) return {};
  }
  auto mapping = map_file(file, shm::Access::kReadWrite);
  if (!mapping && mapping.error().code == ErrorCode::kNoMemory) {
    // Address space is what the others take.
    connection_->idle_mappings().clear();
    mapping = map_file(file, shm::Access::kReadWrite);
  }
  RK_TRY(mapping_, std::move(mapping));
  return {};
}

void Writer::unmap(Connection& connection) {
  if (reusable_ && !connection.broken())
    connection.idle_mappings().keep(*reusable_, std::move(mapping_));
  else
    mapping_.reset();
}

Writer::Writer(Writer&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)),
      name_(std::move(other.name_)),
      incarnation_(other.incarnation_),
      slot_(std::move(other.slot_)),
      mapping_(std::move(other.mapping_)),
      reusable_(other.reusable_) {}

Writer::~Writer() {
  if (connection_ == nullptr) return;
  RK_MARK(writer_dropped);
  unmap(*connection_);
  RK_MARK(mapping_dropped);
  // A server that does not hear of it frees the memory with the connection.
  static_cast<void>(connection_->call<wire::Done>(wire::CheckpointAbandon{slot_.slot}));
}

Result<std::span<std::byte>> Writer::section(std::string_view name) {
  const wire::SectionPlace* place = find_section(slot_.sections, name);
  if (place == nullptr) return no_section(name);
  if (place->size == 0) return std::span<std::byte>();
  RK_MARK(section_given);
  return mapping_.writable().subspan(place->offset, place->size);
}

Result<Committed> Writer::commit(wire::CommitLevel level) {
  Connection* connection = std::exchange(connection_, nullptr);
  RK_MARK(commit_begun);
  unmap(*connection);
  RK_MARK(mapping_dropped);
  return ask_to_commit(*connection, wire::CheckpointCommit{slot_.slot, level, connection->timeout_ms()}, incarnation_,
                       [&](const wire::CommitAnswer& ok) { return confirm_version(*connection, name_, ok); });
}

Status Writer::commit_async(AsyncCommits& commits, const AsyncOrder& order) {
  RK_TRY_VOID(
      commits.start(wire::CheckpointCommit{slot_.slot, order.level, order.timeout_ms}, name_, incarnation_, order));
  RK_MARK(async_commit_handed_over);
  unmap(*std::exchange(connection_, nullptr));
  RK_MARK(mapping_dropped);
  return {};
}

Result<Committed> put_version(Connection& connection, const std::string& name, const std::vector<NamedBytes>& sections,
                              wire::CommitLevel level, Incarnation incarnation) {
  std::size_t total = 0;
  for (const NamedBytes& item : sections) total += item.bytes.size();
  if (total <= kPutBytes) {
    wire::CheckpointPut put{name, {}, level, connection.timeout_ms()};
    for (const NamedBytes& item : sections) put.sections.push_back({item.name, item.bytes});
    return ask_to_commit(connection, put, incarnation,
                         [&](const wire::CommitAnswer& ok) { return confirm_version(connection, name, ok); });
  }
  std::vector<wire::SectionSpec> specs;
  specs.reserve(sections.size());
  for (const NamedBytes& item : sections) specs.push_back({item.name, item.bytes.size()});
  RK_TRY(Writer writer, Writer::begin(connection, name, specs, incarnation, Writer::Addresses::kOurs));
  for (const NamedBytes& item : sections) {
    RK_TRY(const std::span<std::byte> place, writer.section(item.name));
    fill(place, item.bytes);
  }
  return writer.commit(level);
}

Result<Reader> Reader::open(Connection& connection, const std::string& name, Version version) {
  const std::uint64_t deadline_ms = boot_time_ms() + connection.timeout_ms();
  for (;;) {
    Version damaged;
    {
      RK_TRY(Reader reader, open_once(connection, name, version, Pages::kEntered));
      const Status verified = reader.verify();
      RK_MARK(version_verified);
      if (verified) return reader;
      if (boot_time_ms() >= deadline_ms) return tl::unexpected(verified.error());
      damaged = reader.version();
    }
    RK_TRY([[maybe_unused]] const auto done, connection.call<wire::Done>(wire::CheckpointDamaged{name, damaged}));
  }
}

Result<Reader> Reader::map(Connection& connection, const std::string& name, Version version) {
  return open_once(connection, name, version, Pages::kWhenTouched);
}

Result<Reader> Reader::open_once(Connection& connection, const std::string& name, Version version, Pages pages) {
  std::vector<shm::Descriptor> descriptors;
  Reader reader(connection, name);
  auto content = open_version(connection, name, version, descriptors);
  if (!content) return tl::unexpected(content.error());
  reader.content_ = *std::move(content);
  RK_MARK(version_received);
  RK_TRY_VOID(check_places(reader.content_.sections, reader.content_.total));
  RK_TRY(shm::MemoryFile file, adopt_received(descriptors, reader.content_.total));
  if (pages == Pages::kEntered) {
    RK_TRY(reader.mapping_, map_file(file, shm::Access::kReadOnly));
  } else if (file) {
    RK_TRY_VOID(reader.map(file));
  }
  RK_TRY_VOID(reader.check_table());
  return reader;
}

Status Reader::check_table() const {
  if (wire::version_sum(content_.sections) == content_.sum) return {};
  return fail(ErrorCode::kCorrupt, "the table of version " + std::to_string(content_.version.value) +
                                       " does not have its checksum: install matching releases");
}

Status Reader::verify() const {
  for (const wire::SectionPlace& section : content_.sections) {
    const ByteView bytes = section.size == 0 ? ByteView() : mapping_.bytes().subspan(section.offset, section.size);
    if (checksum(bytes) != section.sum)
      return fail(ErrorCode::kCorrupt, "section \"" + section.name + "\" of version " +
                                           std::to_string(content_.version.value) +
                                           " does not have its checksum, and the server had no better copy in time: "
                                           "end whoever still writes to it, and read again or read another version");
  }
  return {};
}

Status Reader::verify_mapped() const {
  const Status verified = verify();
  return verified || verified.error().code != ErrorCode::kCorrupt ? verified : tell_damaged();
}

Status Reader::tell_damaged() const {
  RK_TRY([[maybe_unused]] const auto done,
         connection_->call<wire::Done>(wire::CheckpointDamaged{name_, content_.version}));
  return fail(ErrorCode::kCorrupt, "bytes of version " + std::to_string(content_.version.value) + " of \"" + name_ +
                                       "\" do not have their checksum: close it and read it anew, with another copy");
}

Status Reader::map(const shm::MemoryFile& file) {
  reusable_ = IdleMappings::identify(file);
  if (reusable_) mapping_ = connection_->idle_reads().take(*reusable_, file.size());
  entered_ = static_cast<bool>(mapping_);
  if (entered_) return {};
  auto mapping = shm::Mapping::map(file, shm::Access::kReadOnly);
  if (!mapping && mapping.error().code == ErrorCode::kNoMemory) {
    connection_->idle_reads().clear();
    mapping = shm::Mapping::map(file, shm::Access::kReadOnly);
  }
  RK_TRY(mapping_, std::move(mapping));
  return {};
}

Status Reader::copy(std::string_view section, std::span<std::byte> out) const {
  const wire::SectionPlace* place = find_section(content_.sections, section);
  if (place == nullptr) return no_section(section);
  if (place->size != out.size())
    return fail(ErrorCode::kInvalidArgument, "section \"" + place->name + "\" has " + std::to_string(place->size) +
                                                 " bytes, and there is room for " + std::to_string(out.size()) +
                                                 ": give as much as it has");
  StreamingChecksum sum;
  if (!out.empty()) {
    const std::uint64_t from = place->offset / shm::kPageBytes * shm::kPageBytes;
    if (!entered_) RK_TRY_VOID(mapping_.populate(from, place->offset + place->size - from));
    sum.copy(out.data(), mapping_.bytes().subspan(place->offset, place->size));
  }
  return sum.digest() == place->sum ? Status() : tell_damaged();
}

Reader::Reader(Reader&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)),
      name_(std::move(other.name_)),
      content_(std::move(other.content_)),
      mapping_(std::move(other.mapping_)),
      entered_(other.entered_),
      reusable_(other.reusable_),
      seen_(other.seen_) {}

Reader::~Reader() {
  if (connection_ == nullptr || content_.slot == 0) return;
  RK_MARK(reader_dropped);
  if (reusable_ && !seen_ && !connection_->broken()) connection_->idle_reads().keep(*reusable_, std::move(mapping_));
  mapping_.reset();
  RK_MARK(mapping_dropped);
  static_cast<void>(connection_->call<wire::Done>(wire::CheckpointRelease{content_.slot}));
}

Result<ByteView> Reader::section(std::string_view name) const {
  const wire::SectionPlace* place = find_section(content_.sections, name);
  if (place == nullptr) return no_section(name);
  if (place->size == 0) return ByteView();
  seen_ = true;
  return mapping_.bytes().subspan(place->offset, place->size);
}

Status remove_checkpoint(Connection& connection, const std::string& name) {
  RK_TRY([[maybe_unused]] const auto done, connection.call<wire::Done>(wire::CheckpointDelete{name}));
  return {};
}

std::string group_name(JobId job, CommunityId community) {
  char text[64];
  std::snprintf(text, sizeof text, "job/%016llx/c%u", static_cast<unsigned long long>(job.value), community.value);
  return text;
}

std::string part_name(JobId job, CommunityId community, Rank rank) {
  return group_name(job, community) + "/r" + std::to_string(rank.value);
}

Result<wire::GroupPart> write_part(Connection& connection, const std::string& name,
                                   const std::vector<NamedBytes>& sections, Incarnation incarnation) {
  RK_TRY(const Committed committed,
         put_version(connection, name, sections, wire::CommitLevel::kReplicated, incarnation));
  RK_MARK(part_committed);
  return wire::GroupPart{name, committed.version, committed.sum};
}

Result<Version> commit_group(Connection& connection, const std::string& group,
                             const std::vector<wire::GroupPart>& parts, Incarnation incarnation) {
  RK_TRY(const Committed committed,
         ask_to_commit(connection, wire::GroupCommit{group, parts, connection.timeout_ms()}, incarnation,
                       [&](const wire::CommitAnswer& ok) { return confirm_group(connection, group, ok); }));
  RK_MARK(group_committed);
  return committed.version;
}

Result<wire::GroupAnswer> query_group(Connection& connection, const std::string& group) {
  return ask_in_time<wire::GroupAnswer>(connection, wire::GroupQuery{group}, {}, [](const wire::GroupAnswer&) {});
}

}  // namespace rk::client
