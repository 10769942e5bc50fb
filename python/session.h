// SPDX-License-Identifier: Apache-2.0
// What the Python module holds of Ringkeep: a connection that threads may share, and the checkpoints that are written
// and read over it. No Python here. Who calls what waits (marked so) does it without the interpreter's lock; everything
// else is guarded by that lock.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <ringkeep/ringkeep.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace rk::python {

// A connection, used by one thread at a time: the others wait for their turn. It ends with the last of the client, the
// writers and the readers, so that none of these ever outlives it.
class Session {
 public:
  Session(const std::string& socket_path, std::uint32_t timeout_ms, bool fenced);  // waits

  // Throws if the client was closed, or if this process is a fork of the one that opened it: both would read the
  // answers of one socket.
  void require_usable() const;
  void close() { closed_ = true; }
  bool closed() const { return closed_; }
  bool of_this_process() const;

  // Waits for the thread before it and for the call.
  template <class Call>
  auto call(Call&& call) {
    const std::lock_guard turn(turn_);
    return std::forward<Call>(call)(client_);
  }

 private:
  std::mutex turn_;
  rk::Client client_;
  std::atomic<bool> closed_ = false;
  const pid_t process_;
};

struct Place {
  std::string name;
  std::byte* data;
  std::size_t size;
};

// The mapped sections of a checkpoint that is written or read. They are unmapped by release(), which is called once:
// after the end of the checkpoint was asked for, and with no view of the memory in use.
class Memory {
 public:
  Memory(std::shared_ptr<Session> session, std::vector<Place> places, bool read_only)
      : session_(std::move(session)), places_(std::move(places)), read_only_(read_only) {}
  virtual ~Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  const Place& place(const std::string& section) const;  // throws not-found
  const std::vector<Place>& places() const { return places_; }
  bool read_only() const { return read_only_; }
  Session& session() const { return *session_; }
  virtual void release() = 0;  // waits

  std::size_t views = 0;  // buffers of Python that point into it
  bool ended = false;     // no more views are given

 private:
  std::shared_ptr<Session> session_;
  std::vector<Place> places_;
  bool read_only_;
};

class Writing : public Memory {
 public:
  static std::shared_ptr<Writing> begin(const std::shared_ptr<Session>& session, const std::string& name,
                                        const std::vector<rk::Section>& sections);  // waits
  Writing(std::shared_ptr<Session> session, std::vector<Place> places, rk::Writer writer)
      : Memory(std::move(session), std::move(places), false), writer_(std::move(writer)) {}
  ~Writing() override;
  std::uint64_t commit(rk_level level);  // waits; ends the writer, also when it throws
  // Waits for room in the socket; ends the writer, unless it throws.
  void commit_async(rk_level level, std::uint64_t tag);
  void release() override;

 private:
  std::optional<rk::Writer> writer_;
};

class Reading : public Memory {
 public:
  static std::shared_ptr<Reading> open(const std::shared_ptr<Session>& session, const std::string& name,
                                       std::uint64_t version, bool verified);  // waits
  Reading(std::shared_ptr<Session> session, std::vector<Place> places, rk::Reader reader)
      : Memory(std::move(session), std::move(places), true), version_(reader.version()), reader_(std::move(reader)) {}
  ~Reading() override;
  std::uint64_t version() const { return version_; }
  void verify();  // waits
  void release() override;

 private:
  std::uint64_t version_;
  std::optional<rk::Reader> reader_;
};

void remove(Session& session, const std::string& name);  // waits

// Of one section "data". Waits for room in the socket, for more than 64 KiB for the server's memory too.
void put_async(Session& session, const std::string& name, std::span<const std::byte> data, std::uint64_t tag,
               const rk::AsyncOptions& options);
std::vector<rk::Outcome> outcomes(Session& session, std::uint32_t timeout_ms);  // waits
int descriptor(Session& session);                                               // waits for its turn

}  // namespace rk::python
