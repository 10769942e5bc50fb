// SPDX-License-Identifier: Apache-2.0
#include "daemon/state_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/checksum.h"
#include "daemon/private_directory.h"

namespace rk::daemon {
namespace {

constexpr std::uint32_t kMagic = 0x74734b52;  // "RKst"
constexpr std::uint16_t kMajor = 1;
constexpr std::uint16_t kMinor = 0;
constexpr std::uint32_t kFeatures = 0;
constexpr std::uint32_t kRequiredFeatures = 0xffff;
constexpr std::size_t kHeadBytes = 28;
constexpr std::size_t kSumOffset = 20;
constexpr std::size_t kMaxStateBytes = std::size_t{1} << 20U;

std::uint64_t state_sum(ByteView head, ByteView payload) {
  StreamingChecksum sum;
  sum.update(head.first(kSumOffset));
  sum.update(payload);
  return sum.digest();
}

Status write_all(int fd, ByteView bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("write '" + path + "'", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Bytes encode_state(StateKind kind, ByteView payload) {
  Bytes out;
  ByteWriter writer(out);
  writer.integer(kMagic);
  writer.integer(kMajor);
  writer.integer(kMinor);
  writer.integer(kFeatures);
  writer.integer(static_cast<std::uint32_t>(kind));
  writer.integer(static_cast<std::uint32_t>(payload.size()));
  writer.integer(state_sum(out, payload));
  writer.raw(payload);
  return out;
}

Result<State> decode_state(StateKind kind, ByteView file) {
  const auto damaged = [] {
    return fail(ErrorCode::kCorrupt, "it is damaged: remove the state directory to join the ring as a new server");
  };
  if (file.size() < kHeadBytes) return damaged();
  ByteReader reader(file);
  if (reader.integer<std::uint32_t>() != kMagic) return damaged();
  const auto major = reader.integer<std::uint16_t>();
  const auto minor = reader.integer<std::uint16_t>();
  const auto features = reader.integer<std::uint32_t>();
  if (major != kMajor || (features & kRequiredFeatures & ~kFeatures) != 0)
    return fail(ErrorCode::kVersionMismatch, "another release of ringkeep wrote it: start that release again");
  const auto found = reader.integer<std::uint32_t>();
  const auto length = reader.integer<std::uint32_t>();
  const auto sum = reader.integer<std::uint64_t>();
  const ByteView payload = file.subspan(kHeadBytes);
  if (found != static_cast<std::uint32_t>(kind) || length != payload.size() || sum != state_sum(file, payload))
    return damaged();
  return State{Bytes(payload.begin(), payload.end()), minor > kMinor};
}

Result<StateFiles> StateFiles::open(const std::string& directory) {
  RK_TRY_VOID(prepare_private_directory(directory));
  StateFiles files;
  files.directory_ = directory;
  const std::string path = directory + "/lock";
  files.lock_ = shm::Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!files.lock_) return fail_errno("open '" + path + "'", errno);
  if (::flock(files.lock_.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(ErrorCode::kExists, "another server uses the state directory '" + directory +
                                        "': end it first, or choose another with --state-directory");
  RK_TRY(const auto incarnation, files.read(StateKind::kIncarnation));
  if (!incarnation) RK_TRY_VOID(files.write(StateKind::kRing, {}));
  return files;
}

Result<Incarnation> StateFiles::last_incarnation() const {
  RK_TRY(const auto last, load(StateKind::kIncarnation));
  if (!last) return Incarnation();
  ByteReader reader(last->payload);
  const Incarnation incarnation(reader.integer<std::uint64_t>());
  RK_TRY_VOID(
      reader.finish("the incarnation file", last->newer ? ByteReader::Rest::kIgnored : ByteReader::Rest::kRefused));
  return incarnation;
}

Result<Incarnation> StateFiles::next_incarnation(std::uint64_t clock_ms) {
  RK_TRY(const Incarnation last, last_incarnation());
  const Incarnation next(std::max(last.value + 1, clock_ms));
  Bytes payload;
  ByteWriter(payload).integer(next.value);
  RK_TRY_VOID(write(StateKind::kIncarnation, payload));
  return next;
}

std::string StateFiles::path_of(StateKind kind) const {
  return directory_ + (kind == StateKind::kIncarnation ? "/incarnation" : "/ring");
}

Result<std::optional<State>> StateFiles::load(StateKind kind) const {
  const std::string path = path_of(kind);
  const shm::Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) {
    if (errno == ENOENT) return std::nullopt;
    return fail_errno("read '" + path + "'", errno);
  }
  Bytes file(kMaxStateBytes);
  std::size_t size = 0;
  while (size < file.size()) {
    const ssize_t got = ::read(fd.get(), file.data() + size, file.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read '" + path + "'", errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  file.resize(size);
  auto state = decode_state(kind, file);
  if (!state) return fail(state.error().code, "state file '" + path + "': " + state.error().message);
  return std::optional<State>(std::move(*state));
}

Result<std::optional<Bytes>> StateFiles::read(StateKind kind) const {
  RK_TRY(auto state, load(kind));
  if (!state) return std::nullopt;
  return std::optional<Bytes>(std::move(state->payload));
}

Status StateFiles::write(StateKind kind, ByteView payload) const {
  const std::string path = path_of(kind);
  const std::string fresh = path + ".new";
  const shm::Descriptor fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno("write '" + fresh + "'", errno);
  RK_TRY_VOID(write_all(fd.get(), encode_state(kind, payload), fresh));
  if (::fsync(fd.get()) != 0) return fail_errno("make '" + fresh + "' durable", errno);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno("replace '" + path + "'", errno);
  const shm::Descriptor directory(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0)
    return fail_errno("make the directory '" + directory_ + "' durable", errno);
  return {};
}

}  // namespace rk::daemon
