// SPDX-License-Identifier: Apache-2.0
//
// ringkeep.hpp: the C++ interface of Ringkeep, header-only over ringkeep.h, so that only the C ABI binds a program to a
// release. Objects own their handles and are move-only; a failure is thrown as rk::Failure.
//
//   rk::Client client;
//   rk::Writer writer = client.begin("state", {{"table", size}});
//   fill(writer.section("table"));
//   std::uint64_t version = writer.commit();
//   ...
//   rk::Reader reader = client.read("state");
//   use(reader.section("table"));
//   ...
//   client.put_async("counter", bytes, 17);  // does not wait
//   for (const rk::Outcome& outcome : client.outcomes(1000)) note(outcome.tag, outcome.ok());
#ifndef RINGKEEP_HPP
#define RINGKEEP_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ringkeep/ringkeep.h"

namespace rk {

// A call that failed: one of RK_ERR_* and the words of rk_last_error().
class Failure : public std::runtime_error {
 public:
  Failure(int code, const char* words)
      : std::runtime_error(std::string(rk_error_name(code)) + ": " + words), code_(code) {}
  int code() const noexcept { return code_; }
  // Those of rk_last_error() alone; what() has the code's name before them.
  std::string words() const { return std::string(what()).substr(std::string(rk_error_name(code_)).size() + 2); }

 private:
  int code_;
};

inline void require(int code) {
  if (code != RK_OK) throw Failure(code, rk_last_error());
}

struct Section {
  std::string name;
  std::size_t size = 0;
};

// Of commits that nobody waits for.
struct AsyncOptions {
  rk_level level = RK_LEVEL_REPLICATED;
  std::uint32_t timeout_ms = 0;  // of the outcome; 0: the client's
  bool more = false;             // another one follows at once (rk_async_options)
};

inline rk_async_options to_c(const AsyncOptions& options) {
  rk_async_options out{};
  out.struct_size = sizeof out;
  out.timeout_ms = options.timeout_ms;
  out.more = options.more ? 1 : 0;
  return out;
}

struct Outcome {
  std::uint64_t tag = 0;
  int code = RK_OK;           // RK_ERR_TIMEOUT: unknown; any other but RK_OK: the version does not exist
  std::uint64_t version = 0;  // 0 unless ok()
  std::string words;          // cause and cure
  bool ok() const noexcept { return code == RK_OK; }
};

// A version that is being written. Without commit() it ends without a version.
class Writer {
 public:
  explicit Writer(rk_writer* handle) noexcept : handle_(handle) {}
  Writer(Writer&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Writer& operator=(Writer&& other) noexcept {
    if (this != &other) {
      rk_abandon(handle_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Writer() { rk_abandon(handle_); }

  std::span<std::byte> section(const std::string& name) {
    void* data = nullptr;
    std::size_t size = 0;
    require(rk_writer_section(handle_, name.c_str(), &data, &size));
    return {static_cast<std::byte*>(data), size};
  }
  // The version's number. Ends the writer, also when it throws.
  std::uint64_t commit(rk_level level = RK_LEVEL_REPLICATED) {
    std::uint64_t version = 0;
    require(rk_commit(std::exchange(handle_, nullptr), level, &version));
    return version;
  }
  // Without the outcome, which Client::outcomes() gives. Ends the writer, unless it throws.
  void commit_async(std::uint64_t tag, const AsyncOptions& options = {}) {
    const rk_async_options more = to_c(options);
    require(rk_commit_async(handle_, options.level, tag, &more));
    handle_ = nullptr;
  }

 private:
  rk_writer* handle_;
};

// A committed version, mapped read-only, and verified where map() did not put that off.
class Reader {
 public:
  explicit Reader(rk_reader* handle) noexcept : handle_(handle) {}
  Reader(Reader&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Reader& operator=(Reader&& other) noexcept {
    if (this != &other) {
      rk_reader_close(handle_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Reader() { rk_reader_close(handle_); }

  std::uint64_t version() const noexcept { return rk_reader_version(handle_); }
  std::span<const std::byte> section(const std::string& name) const {
    const void* data = nullptr;
    std::size_t size = 0;
    require(rk_reader_section(handle_, name.c_str(), &data, &size));
    return {static_cast<const std::byte*>(data), size};
  }
  // Copies the section, which has the size of `out`, and verifies it on the way.
  void copy(const std::string& name, std::span<std::byte> out) {
    require(rk_reader_copy(handle_, name.c_str(), out.data(), out.size()));
  }
  // Throws Failure of RK_ERR_CORRUPT where bytes do not have their checksums; read() gives another server's copy then.
  void verify() { require(rk_reader_verify(handle_)); }
  // In the order in which they were begun.
  std::vector<Section> sections() const {
    std::size_t count = 0;
    require(rk_reader_sections(handle_, nullptr, 0, &count));
    std::vector<rk_section> list(count);
    require(rk_reader_sections(handle_, list.data(), list.size(), &count));
    std::vector<Section> out;
    out.reserve(list.size());
    for (const rk_section& section : list) out.push_back({section.name, section.size});
    return out;
  }

 private:
  rk_reader* handle_;
};

// A connection to this node's server. Outlives its writers and readers.
class Client {
 public:
  // Empty path: $RINGKEEP_SOCKET, then the user's default.
  // fenced: the node's guard may kill this process when its server is out of the ring (rk_options).
  explicit Client(const std::string& socket_path = {}, std::uint32_t timeout_ms = 0, bool fenced = false) {
    rk_options options{};
    options.struct_size = sizeof options;
    options.socket_path = socket_path.empty() ? nullptr : socket_path.c_str();
    options.timeout_ms = timeout_ms;
    options.fenced = fenced ? 1 : 0;
    require(rk_open(&options, &handle_));
  }
  Client(Client&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Client& operator=(Client&& other) noexcept {
    if (this != &other) {
      rk_close(handle_);
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Client() { rk_close(handle_); }

  Writer begin(const std::string& name, std::span<const Section> sections) {
    std::vector<rk_section> list;
    list.reserve(sections.size());
    for (const Section& section : sections) list.push_back({section.name.c_str(), section.size});
    rk_writer* writer = nullptr;
    require(rk_begin(handle_, name.c_str(), list.data(), list.size(), &writer));
    return Writer(writer);
  }
  Writer begin(const std::string& name, std::initializer_list<Section> sections) {
    return begin(name, std::span(sections.begin(), sections.size()));
  }
  // One section named "data", committed replicated.
  std::uint64_t put(const std::string& name, std::span<const std::byte> data) {
    std::uint64_t version = 0;
    require(rk_put(handle_, name.c_str(), data.data(), data.size(), &version));
    return version;
  }
  // The same without the outcome, which outcomes() gives. Throws if nothing was handed over.
  void put_async(const std::string& name, std::span<const std::byte> data, std::uint64_t tag,
                 const AsyncOptions& options = {}) {
    const rk_async_options more = to_c(options);
    require(rk_put_async(handle_, name.c_str(), data.data(), data.size(), options.level, tag, &more));
  }
  // Those that are there; if there is none, waits for the first. Throws when the connection has ended and all were
  // taken.
  std::vector<Outcome> outcomes(std::uint32_t timeout_ms = 0, std::size_t capacity = RK_MAX_IN_FLIGHT) {
    std::vector<rk_outcome> list(capacity);
    std::size_t count = 0;
    require(rk_outcomes(handle_, list.data(), list.size(), &count, timeout_ms));
    std::vector<Outcome> out;
    out.reserve(count);
    for (std::size_t i = 0; i < count; ++i) out.push_back({list[i].tag, list[i].code, list[i].version, list[i].words});
    return out;
  }
  // For poll(): readable when outcomes() may have something. The client's.
  int descriptor() {
    int descriptor = -1;
    require(rk_descriptor(handle_, &descriptor));
    return descriptor;
  }
  // Version 0: the newest.
  Reader read(const std::string& name, std::uint64_t version = 0) {
    rk_reader* reader = nullptr;
    require(rk_read(handle_, name.c_str(), version, &reader));
    return Reader(reader);
  }
  // As read(), in a time that does not grow with the size: Reader::verify() is the caller's.
  Reader map(const std::string& name, std::uint64_t version = 0) {
    rk_reader* reader = nullptr;
    require(rk_map(handle_, name.c_str(), version, &reader));
    return Reader(reader);
  }
  // As read(), but nothing where there is no such checkpoint: the first start of a service.
  std::optional<Reader> find(const std::string& name, std::uint64_t version = 0) {
    rk_reader* reader = nullptr;
    const int code = rk_read(handle_, name.c_str(), version, &reader);
    if (code == RK_ERR_NOT_FOUND) return std::nullopt;
    require(code);
    return Reader(reader);
  }
  void remove(const std::string& name) { require(rk_delete(handle_, name.c_str())); }

 private:
  rk_client* handle_ = nullptr;
};

}  // namespace rk

#endif
