// SPDX-License-Identifier: Apache-2.0
// rk_send and rk_recv: to libringkeep-mpi if it is loaded, else over this process's own log session.
#include <cstddef>

#include "client/error.h"
#include "client/job.h"
#include "client/messages.h"

using rk::Status;
using rk::client::at_edge;
using rk::client::from_layer;
using rk::client::invalid;
using rk::client::layer_hooks;

static_assert(RK_ANY_SOURCE == rk::log::kAnySource && RK_ANY_TAG == rk::log::kAnyTag);

extern "C" {

int rk_send(rk_job* job, uint32_t dest, int32_t tag, const void* data, size_t size) {
  if (const auto* hooks = layer_hooks()) return from_layer(*hooks, hooks->send(job, dest, tag, data, size));
  if (job == nullptr || (data == nullptr && size > 0))
    return at_edge([] { return invalid("the job and the message must not be NULL"); });
  return at_edge(job->poisoned, [&] {
    return rk::client::send_message(job->job->session(), dest, tag, {static_cast<const std::byte*>(data), size});
  });
}

int rk_recv(rk_job* job, uint32_t source, int32_t tag, void* data, size_t capacity, uint32_t timeout_ms,
            rk_message* message) {
  if (const auto* hooks = layer_hooks())
    return from_layer(*hooks, hooks->recv(job, source, tag, data, capacity, timeout_ms, message));
  if (job == nullptr || (data == nullptr && capacity > 0))
    return at_edge([] { return invalid("the job and the buffer must not be NULL"); });
  if (message != nullptr && message->struct_size < sizeof(rk_message))
    return at_edge([] { return invalid("struct_size of the message must be sizeof(rk_message)"); });
  return at_edge(job->poisoned, [&] {
    rk::client::ReceivedMessage received;
    Status status = rk::client::receive_message(job->job->session(), source, tag,
                                                {static_cast<std::byte*>(data), capacity}, timeout_ms, received);
    if (message != nullptr) {
      message->source = received.source;
      message->tag = received.tag;
      message->size = received.size;
      message->ssn = received.ssn;
      message->rsn = received.rsn;
    }
    return status;
  });
}

}  // extern "C"
