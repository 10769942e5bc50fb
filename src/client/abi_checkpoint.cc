// SPDX-License-Identifier: Apache-2.0
// The C ABI of connections and checkpoints.
#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/abi_handles.h"
#include "client/checkpoint.h"
#include "client/connection.h"
#include "client/error.h"

using rk::Status;
using rk::client::at_edge;
using rk::client::invalid;

struct rk_reader {
  rk_client* client;
  rk::client::Reader reader;
};

namespace {

// A caller built with an older header passes a shorter struct; what it does not have is zero.
Status read_options(const rk_options* given, rk::client::ConnectOptions& out) {
  if (given == nullptr) return {};
  if (given->struct_size < sizeof(size_t))
    return invalid("rk_options.struct_size is " + std::to_string(given->struct_size) +
                   ": set it to sizeof(rk_options)");
  rk_options options{};
  std::memcpy(&options, given, std::min(given->struct_size, sizeof options));
  if (options.socket_path != nullptr) out.socket_path = options.socket_path;
  if (options.program != nullptr) out.program = options.program;
  if (options.timeout_ms != 0) out.timeout_ms = options.timeout_ms;
  out.fenced = options.fenced != 0;
  return {};
}

}  // namespace

extern "C" {

const char* rk_error_name(int code) { return rk::to_string(static_cast<rk::ErrorCode>(code)); }

const char* rk_last_error(void) { return rk::client::last_error(); }

const char* rk_version(void) { return RINGKEEP_RELEASE; }

int rk_open(const rk_options* options, rk_client** client) {
  return at_edge([&]() -> Status {
    if (client == nullptr) return invalid("the place for the client handle must not be NULL");
    *client = nullptr;
    rk::client::ConnectOptions connect;
    RK_TRY_VOID(read_options(options, connect));
    RK_TRY(auto connection, rk::client::Connection::open(connect));
    *client = new rk_client(std::move(connection));
    return {};
  });
}

void rk_close(rk_client* client) {
  at_edge([&]() -> Status {
    delete client;
    return {};
  });
}

int rk_begin(rk_client* client, const char* name, const rk_section* sections, size_t count, rk_writer** writer) {
  if (client == nullptr || name == nullptr || sections == nullptr || writer == nullptr)
    return at_edge([] { return invalid("client, name, sections and the place for the writer must not be NULL"); });
  *writer = nullptr;
  return at_edge(client->poisoned, [&]() -> Status {
    if (count > rk::wire::kMaxSections)
      return invalid("a checkpoint has at most " + std::to_string(rk::wire::kMaxSections) + " sections");
    std::vector<rk::wire::SectionSpec> specs;
    for (size_t i = 0; i < count; ++i) {
      if (sections[i].name == nullptr) return invalid("the name of a section must not be NULL");
      specs.push_back({sections[i].name, sections[i].size});
    }
    RK_TRY(auto begun, rk::client::Writer::begin(*client->connection, name, specs));
    *writer = new rk_writer{client, std::move(begun)};
    return {};
  });
}

int rk_writer_section(rk_writer* writer, const char* section, void** data, size_t* size) {
  if (writer == nullptr || section == nullptr || data == nullptr)
    return at_edge([] { return invalid("writer, section and the place for the address must not be NULL"); });
  return at_edge(writer->client->poisoned, [&]() -> Status {
    RK_TRY(const auto bytes, writer->writer.section(section));
    *data = bytes.data();
    if (size != nullptr) *size = bytes.size();
    return {};
  });
}

int rk_commit(rk_writer* writer, rk_level level, uint64_t* version) {
  if (writer == nullptr) return at_edge([] { return invalid("the writer must not be NULL"); });
  const std::unique_ptr<rk_writer> ended(writer);
  return at_edge(writer->client->poisoned, [&]() -> Status {
    if (level != RK_LEVEL_LOCAL && level != RK_LEVEL_REPLICATED)
      return invalid("the level must be RK_LEVEL_LOCAL or RK_LEVEL_REPLICATED");
    RK_TRY(const auto committed, writer->writer.commit(static_cast<rk::wire::CommitLevel>(level)));
    if (version != nullptr) *version = committed.version.value;
    return {};
  });
}

void rk_abandon(rk_writer* writer) {
  at_edge([&]() -> Status {
    delete writer;
    return {};
  });
}

int rk_put(rk_client* client, const char* name, const void* data, size_t size, uint64_t* version) {
  if (client == nullptr || name == nullptr) return at_edge([] { return invalid("client and name must not be NULL"); });
  if (data == nullptr && size > 0) return at_edge([] { return invalid("the data must not be NULL"); });
  return at_edge(client->poisoned, [&]() -> Status {
    const rk::ByteView bytes(static_cast<const std::byte*>(data), size);
    RK_TRY(const auto committed,
           rk::client::put_version(*client->connection, name, {{"data", bytes}}, rk::wire::CommitLevel::kReplicated));
    if (version != nullptr) *version = committed.version.value;
    return {};
  });
}

int rk_read(rk_client* client, const char* name, uint64_t version, rk_reader** reader) {
  if (client == nullptr || name == nullptr || reader == nullptr)
    return at_edge([] { return invalid("client, name and the place for the reader must not be NULL"); });
  *reader = nullptr;
  return at_edge(client->poisoned, [&]() -> Status {
    RK_TRY(auto opened, rk::client::Reader::open(*client->connection, name, rk::Version(version)));
    *reader = new rk_reader{client, std::move(opened)};
    return {};
  });
}

int rk_map(rk_client* client, const char* name, uint64_t version, rk_reader** reader) {
  if (client == nullptr || name == nullptr || reader == nullptr)
    return at_edge([] { return invalid("client, name and the place for the reader must not be NULL"); });
  *reader = nullptr;
  return at_edge(client->poisoned, [&]() -> Status {
    RK_TRY(auto mapped, rk::client::Reader::map(*client->connection, name, rk::Version(version)));
    *reader = new rk_reader{client, std::move(mapped)};
    return {};
  });
}

int rk_reader_verify(rk_reader* reader) {
  if (reader == nullptr) return at_edge([] { return invalid("the reader must not be NULL"); });
  return at_edge(reader->client->poisoned, [&] { return reader->reader.verify_mapped(); });
}

int rk_reader_copy(rk_reader* reader, const char* section, void* data, size_t size) {
  if (reader == nullptr || section == nullptr || (data == nullptr && size > 0))
    return at_edge([] { return invalid("reader, section and the place for the bytes must not be NULL"); });
  return at_edge(reader->client->poisoned, [&] {
    return reader->reader.copy(section, {static_cast<std::byte*>(data), size});
  });
}

uint64_t rk_reader_version(const rk_reader* reader) { return reader == nullptr ? 0 : reader->reader.version().value; }

int rk_reader_section(const rk_reader* reader, const char* section, const void** data, size_t* size) {
  if (reader == nullptr || section == nullptr || data == nullptr)
    return at_edge([] { return invalid("reader, section and the place for the address must not be NULL"); });
  return at_edge([&]() -> Status {
    RK_TRY(const auto bytes, reader->reader.section(section));
    *data = bytes.data();
    if (size != nullptr) *size = bytes.size();
    return {};
  });
}

int rk_reader_sections(const rk_reader* reader, rk_section* sections, size_t capacity, size_t* count) {
  if (reader == nullptr || count == nullptr || (sections == nullptr && capacity > 0))
    return at_edge([] { return invalid("reader, the place for sections and that for their count must not be NULL"); });
  return at_edge([&]() -> Status {
    const auto& places = reader->reader.sections();
    const size_t given = std::min(capacity, places.size());
    for (size_t i = 0; i < given; ++i) sections[i] = {places[i].name.c_str(), places[i].size};
    *count = places.size();
    return {};
  });
}

void rk_reader_close(rk_reader* reader) {
  at_edge([&]() -> Status {
    delete reader;
    return {};
  });
}

int rk_delete(rk_client* client, const char* name) {
  if (client == nullptr || name == nullptr) return at_edge([] { return invalid("client and name must not be NULL"); });
  return at_edge(client->poisoned, [&] { return rk::client::remove_checkpoint(*client->connection, name); });
}

}  // extern "C"
