// SPDX-License-Identifier: Apache-2.0
// Writing, reading and removing checkpoints over a connection. The bytes stay in the server's shared memory: a writer
// fills it in place, a reader sees it in place.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "client/connection.h"
#include "shm/mapping.h"
#include "wire/client_messages.h"

namespace rk::client {

struct Committed {
  Version version;
  std::uint64_t sum = 0;  // identifies the content; goes into a group record
};

// A version with fewer bytes travels in a message: above, mapping the server's memory takes less time than copying
// through the socket does.
inline constexpr std::size_t kPutBytes = std::size_t{64} << 10U;

// What an answer says.
Result<Committed> outcome_of(const wire::CommitAnswer& answer);
tl::unexpected<Error> unknown_outcome(const std::string& why);

// Copies into a slot.
void fill(std::span<std::byte> place, ByteView bytes);

struct NamedBytes {
  std::string name;
  ByteView bytes;
};
// Begins, writes and commits a version whose bytes are at hand. Errors as of Writer::commit().
Result<Committed> put_version(Connection& connection, const std::string& name, const std::vector<NamedBytes>& sections,
                              wire::CommitLevel level, Incarnation incarnation = {});

class AsyncCommits;
struct AsyncOrder;

// A version that is being written. Lives no longer than its connection; ends with commit or the destructor.
class Writer {
 public:
  // kCaller: whoever begins it hands addresses of its sections out.
  enum class Addresses { kCaller, kOurs };
  static Result<Writer> begin(Connection& connection, const std::string& name,
                              const std::vector<wire::SectionSpec>& sections, Incarnation incarnation = {},
                              Addresses addresses = Addresses::kCaller);
  Writer(Writer&& other) noexcept;
  Writer& operator=(Writer&&) = delete;
  ~Writer();

  Result<std::span<std::byte>> section(std::string_view name);
  // Ends the writer. kTimeout: the outcome is unknown; every other error: the version does not exist. An OK that comes
  // after the server's lease is not taken: the server is asked again whether it has the version.
  Result<Committed> commit(wire::CommitLevel level);
  // Ends the writer, unless it fails: then nothing was changed.
  Status commit_async(AsyncCommits& commits, const AsyncOrder& order);

 private:
  Writer(Connection& connection, std::string name, Incarnation incarnation)
      : connection_(&connection), name_(std::move(name)), incarnation_(incarnation) {}
  Status map(std::vector<shm::Descriptor>& descriptors, Addresses addresses);
  void unmap(Connection& connection);
  Connection* connection_;  // nullptr once ended
  std::string name_;
  Incarnation incarnation_;
  wire::CheckpointSlot slot_;
  shm::Mapping mapping_;
  std::optional<IdleMappings::Identity> reusable_;  // the mapping is kept for a later version
};

// A committed version, mapped and verified. Lives no longer than its connection.
class Reader {
 public:
  // Version 0: the newest one. Asks again, within the connection's timeout, if the server's lease ended before its
  // answer was taken; likewise if bytes do not have their checksum, which the server is told, so that it looks at its
  // copy and replaces it. kCorrupt if that did not help in time.
  static Result<Reader> open(Connection& connection, const std::string& name, Version version);
  // In a time that does not grow with the size: no byte is looked at, and no page is entered.
  static Result<Reader> map(Connection& connection, const std::string& name, Version version);
  Reader(Reader&& other) noexcept;
  Reader& operator=(Reader&&) = delete;
  ~Reader();

  Version version() const { return content_.version; }
  std::uint64_t sum() const { return content_.sum; }
  const std::vector<wire::SectionPlace>& sections() const { return content_.sections; }
  Result<ByteView> section(std::string_view name) const;
  // All checksums. What is damaged the server is told of; what is mapped here stays as it is.
  Status verify_mapped() const;
  // Copies a section, which has the size of `out`, and verifies it on the way: what was copied is in the processor's
  // cache still. kCorrupt as above; `out` has anything then.
  Status copy(std::string_view section, std::span<std::byte> out) const;

 private:
  enum class Pages { kEntered, kWhenTouched };
  Reader(Connection& connection, std::string name) : connection_(&connection), name_(std::move(name)) {}
  static Result<Reader> open_once(Connection& connection, const std::string& name, Version version, Pages pages);
  Status check_table() const;
  Status verify() const;
  Status map(const shm::MemoryFile& file);
  Status tell_damaged() const;
  Connection* connection_;
  std::string name_;
  wire::CheckpointContent content_;
  mutable shm::Mapping mapping_;
  bool entered_ = false;  // its pages, very likely, by who had it before
  std::optional<IdleMappings::Identity> reusable_;
  mutable bool seen_ = false;  // addresses in it, by the caller
};

Status remove_checkpoint(Connection& connection, const std::string& name);

// --- group versions: what makes the parts of a community one version ---

// "job/0123456789abcdef/c2" and "job/0123456789abcdef/c2/r17".
std::string group_name(JobId job, CommunityId community);
std::string part_name(JobId job, CommunityId community, Rank rank);

// One part: written, copied once, committed replicated.
Result<wire::GroupPart> write_part(Connection& connection, const std::string& name,
                                   const std::vector<NamedBytes>& sections, Incarnation incarnation);
// The group record. The parts are committed; the version exists when this returns it.
Result<Version> commit_group(Connection& connection, const std::string& group,
                             const std::vector<wire::GroupPart>& parts, Incarnation incarnation);
// Version 0: there is none yet. Asks again as Reader::open().
Result<wire::GroupAnswer> query_group(Connection& connection, const std::string& group);

}  // namespace rk::client
