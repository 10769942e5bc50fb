// SPDX-License-Identifier: Apache-2.0
#include "io/address.h"

#include <netdb.h>

#include <charconv>
#include <cstring>

namespace rk::io {

Result<HostPort> parse_host_port(std::string_view text) {
  const auto wrong = [&] {
    return fail(ErrorCode::kInvalidArgument,
                "'" + std::string(text) + "' is not an address: write it as HOST:PORT, like 127.0.0.1:7801");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return wrong();
  HostPort address;
  address.host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) return wrong();
  if (address.host.front() == '[') {
    if (address.host.back() != ']' || address.host.size() < 3) return wrong();
    address.host = address.host.substr(1, address.host.size() - 2);
  } else if (address.host.find(':') != std::string::npos) {
    return wrong();  // an IPv6 address without brackets: where would its port begin?
  }
  return address;
}

std::string to_string(const HostPort& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

Result<SocketAddress> resolve(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0)
    return fail(ErrorCode::kIo, "cannot find the host of " + to_string(address) + ": " + ::gai_strerror(error) +
                                    "; correct the roster or the name service");
  SocketAddress result;
  std::memcpy(&result.storage, found->ai_addr, found->ai_addrlen);
  result.size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return result;
}

}  // namespace rk::io
