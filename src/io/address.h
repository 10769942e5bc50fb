// SPDX-License-Identifier: Apache-2.0
// "host:port" as people write it, and the socket address it stands for.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rk::io {

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const HostPort&) const = default;
};

// "127.0.0.1:7801", "node3:7801", "[::1]:7801".
Result<HostPort> parse_host_port(std::string_view text);
std::string to_string(const HostPort& address);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// May wait for the name service: only before the loop runs.
Result<SocketAddress> resolve(const HostPort& address);

}  // namespace rk::io
