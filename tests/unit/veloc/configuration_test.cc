// SPDX-License-Identifier: Apache-2.0
#include "veloc/configuration.h"

#include <gtest/gtest.h>

namespace rk::veloc {
namespace {

std::string words_of(std::string_view text) {
  const auto parsed = parse_configuration(text, "veloc.cfg");
  return parsed ? "" : parsed.error().message;
}

TEST(VelocConfiguration, KeysThatCountAreReadAndOthersPassedOver) {
  const auto parsed = parse_configuration(
      "[section]\n# all of it\nscratch = /local\r\n  persistent=/shared/a#b ; where\nmode = async\nec_interval = -1\n"
      "max_versions = 0\naxl_type = AXL_XFER_SYNC",
      "veloc.cfg");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->scratch, "/local");
  EXPECT_EQ(parsed->persistent, "/shared/a#b");
  EXPECT_TRUE(parsed->async);
}

TEST(VelocConfiguration, WhatIsNoSettingIsRefusedWithItsLine) {
  EXPECT_EQ(words_of("scratch = a\n\nmode\n"), "veloc.cfg:3: 'mode' is not 'key = value'");
  EXPECT_NE(words_of("= a"), "");
  EXPECT_NE(words_of("mode = fast"), "");
  EXPECT_NE(words_of("max_versions = -1"), "");
  EXPECT_NE(words_of("max_versions = 2x"), "");
  EXPECT_EQ(words_of(""), "");
}

TEST(VelocConfiguration, DirectoriesTellProgramsApart) {
  const auto sum = [](const char* text) { return parse_configuration(text, "")->directory_sum(); };
  EXPECT_EQ(sum(""), 0U);
  EXPECT_NE(sum("scratch = a"), 0U);
  EXPECT_NE(sum("scratch = a"), sum("scratch = b"));
  EXPECT_NE(sum("persistent = p"), sum("persistent = q"));
  // Jobs that restart elsewhere may have another node-local directory.
  EXPECT_EQ(sum("scratch = a\npersistent = p"), sum("scratch = b\npersistent = p"));
}

TEST(VelocConfiguration, AFileThatCannotBeReadIsAnError) {
  EXPECT_TRUE(read_configuration(nullptr));
  const auto missing = read_configuration("/nonexistent/veloc.cfg");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("/nonexistent/veloc.cfg"), std::string::npos);
  EXPECT_FALSE(read_configuration("/")) << "a directory";
}

}  // namespace
}  // namespace rk::veloc
