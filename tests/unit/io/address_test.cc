// SPDX-License-Identifier: Apache-2.0
#include "io/address.h"

#include <gtest/gtest.h>

namespace rk::io {
namespace {

TEST(HostPort, IsReadAndWrittenBack) {
  for (const char* text : {"127.0.0.1:7801", "node3.cluster:1", "[::1]:65535"}) {
    const auto address = parse_host_port(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_string(*address), text);
  }
  EXPECT_EQ(parse_host_port("[fe80::1]:7")->host, "fe80::1");
}

TEST(HostPort, EverythingElseIsRefusedWithAnExample) {
  for (const char* text :
       {"", "host", ":1", "host:", "host:x", "host:65536", "host:-1", "::1:7", "[]:7", "[::1:7", "h:1 "}) {
    const auto address = parse_host_port(text);
    ASSERT_FALSE(address) << text;
    EXPECT_NE(address.error().message.find("127.0.0.1:7801"), std::string::npos);
  }
}

TEST(Resolve, NamesTheHostThatItCannotFind) {
  ASSERT_TRUE(resolve({"127.0.0.1", 80}));
  const auto unknown = resolve({"no-such-host.invalid", 80});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("no-such-host.invalid:80"), std::string::npos);
}

}  // namespace
}  // namespace rk::io
