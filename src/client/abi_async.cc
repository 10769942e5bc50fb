// SPDX-License-Identifier: Apache-2.0
// The C ABI of commits that nobody waits for.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "client/abi_handles.h"
#include "client/error.h"

using rk::Status;
using rk::client::at_edge;
using rk::client::invalid;

namespace {

// A caller built with an older header passes a shorter struct; what it does not have is zero.
Status read_order(const rk_client& client, rk_level level, uint64_t tag, const rk_async_options* given,
                  rk::client::AsyncOrder& out) {
  if (level != RK_LEVEL_LOCAL && level != RK_LEVEL_REPLICATED)
    return invalid("the level must be RK_LEVEL_LOCAL or RK_LEVEL_REPLICATED");
  rk_async_options options{};
  if (given != nullptr) {
    if (given->struct_size < sizeof(size_t))
      return invalid("rk_async_options.struct_size is " + std::to_string(given->struct_size) +
                     ": set it to sizeof(rk_async_options)");
    std::memcpy(&options, given, std::min(given->struct_size, sizeof options));
  }
  out.tag = tag;
  out.level = static_cast<rk::wire::CommitLevel>(level);
  out.timeout_ms = options.timeout_ms != 0 ? options.timeout_ms : client.connection->timeout_ms();
  out.more = options.more != 0;
  return {};
}

rk_outcome as_told(const rk::client::AsyncOutcome& outcome) {
  if (outcome.result) return {outcome.tag, outcome.result->version.value, RK_OK, ""};
  return {outcome.tag, 0, static_cast<int>(outcome.result.error().code), outcome.result.error().message.c_str()};
}

}  // namespace

extern "C" {

int rk_put_async(rk_client* client, const char* name, const void* data, size_t size, rk_level level, uint64_t tag,
                 const rk_async_options* options) {
  if (client == nullptr || name == nullptr) return at_edge([] { return invalid("client and name must not be NULL"); });
  if (data == nullptr && size > 0) return at_edge([] { return invalid("the data must not be NULL"); });
  return at_edge(client->poisoned, [&]() -> Status {
    rk::client::AsyncOrder order;
    RK_TRY_VOID(read_order(*client, level, tag, options, order));
    return client->commits.put(name, rk::ByteView(static_cast<const std::byte*>(data), size), order);
  });
}

int rk_commit_async(rk_writer* writer, rk_level level, uint64_t tag, const rk_async_options* options) {
  if (writer == nullptr) return at_edge([] { return invalid("the writer must not be NULL"); });
  return at_edge(writer->client->poisoned, [&]() -> Status {
    rk::client::AsyncOrder order;
    RK_TRY_VOID(read_order(*writer->client, level, tag, options, order));
    RK_TRY_VOID(writer->writer.commit_async(writer->client->commits, order));
    delete writer;
    return {};
  });
}

int rk_outcomes(rk_client* client, rk_outcome* outcomes, size_t capacity, size_t* count, uint32_t timeout_ms) {
  if (client == nullptr || outcomes == nullptr || count == nullptr)
    return at_edge([] { return invalid("client and the places for outcomes and for their count must not be NULL"); });
  *count = 0;
  return at_edge(client->poisoned, [&]() -> Status {
    if (capacity == 0) return invalid("there must be room for at least one outcome");
    client->taken.clear();
    RK_TRY_VOID(client->commits.take(client->taken, capacity, timeout_ms));
    for (const rk::client::AsyncOutcome& outcome : client->taken) outcomes[(*count)++] = as_told(outcome);
    return {};
  });
}

int rk_descriptor(rk_client* client, int* descriptor) {
  if (client == nullptr || descriptor == nullptr)
    return at_edge([] { return invalid("client and the place for the descriptor must not be NULL"); });
  *descriptor = -1;
  return at_edge(client->poisoned, [&]() -> Status {
    RK_TRY(*descriptor, client->commits.descriptor());
    return {};
  });
}

}  // extern "C"
