// SPDX-License-Identifier: Apache-2.0
#include "cli/events.h"

#include <cerrno>
#include <cstdio>

#include "cli/commands.h"
#include "cli/event_line.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "launch/ring_servers.h"

namespace rk::cli {
namespace {

constexpr std::uint32_t kWaitMs = 60'000;  // then it waits again

Status show(const wire::ServerEvent& event, bool json, bool colours) {
  print(json ? to_json(event) : event_line(event, colours));
  if (std::fflush(stdout) != 0) return fail_errno("write an event", errno);
  return {};
}

}  // namespace

int events(const EventsOptions& options) {
  const auto reached = launch::reach_server(options.directory);
  if (!reached) return not_reached(reached.error());
  say_who_answered(reached->instead_of);
  client::Connection& server = *reached->connection;
  if (const Status begun = server.begin(wire::EventsSubscribe{options.follow}); !begun) return complain(begun.error());
  const bool colours = colours_on(stdout);
  while (server.begun()) {
    const auto event = server.poll_item<wire::ServerEvent>(kWaitMs);
    if (!event) return complain(event.error());
    if (!*event) continue;  // nothing for a while, or the end
    if (const Status shown = show(**event, options.json, colours); !shown) return complain(shown.error());
  }
  return kSuccess;
}

}  // namespace rk::cli
