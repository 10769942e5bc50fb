// SPDX-License-Identifier: Apache-2.0
// A client of a real server through the C ABI.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "ringkeep/ringkeep.h"

namespace rk::testing {

struct Client {
  rk_client* handle = nullptr;
  explicit Client(const std::string& socket) {
    rk_options options{sizeof(rk_options), socket.c_str(), "test", 0, 0};
    EXPECT_EQ(rk_open(&options, &handle), RK_OK) << rk_last_error();
  }
  ~Client() { rk_close(handle); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
};

// The bytes of section "data", and the version; an error's name and words, and no version, where there is none.
inline std::string read_all(rk_client* client, const std::string& name, std::uint64_t* version = nullptr) {
  rk_reader* reader = nullptr;
  if (const int code = rk_read(client, name.c_str(), 0, &reader); code != RK_OK)
    return std::string(rk_error_name(code)) + ": " + rk_last_error();
  const void* data = nullptr;
  size_t size = 0;
  EXPECT_EQ(rk_reader_section(reader, "data", &data, &size), RK_OK);
  if (version != nullptr) *version = rk_reader_version(reader);
  std::string out(static_cast<const char*>(data), size);
  rk_reader_close(reader);
  return out;
}

}  // namespace rk::testing
