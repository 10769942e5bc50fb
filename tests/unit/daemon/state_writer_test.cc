// SPDX-License-Identifier: Apache-2.0
#include "daemon/state_writer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

namespace rk::daemon {
namespace {

Bytes bytes_of(std::uint64_t token) { return Bytes(8, static_cast<std::byte>(token)); }

class Writer : public ::testing::Test {
 protected:
  Writer() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ringkeep-writer-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    files_ = StateFiles::open(directory_).value();
  }
  ~Writer() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  StateFiles files_;
  io::EventLoop loop_;
};

TEST_F(Writer, TellsOnTheLoopWhatIsDurable) {
  constexpr std::uint64_t kTokens = 50;
  std::vector<std::uint64_t> told;
  StateWriter writer(files_, loop_, [&](std::uint64_t token, const Status& status) {
    EXPECT_TRUE(status);
    told.push_back(token);
    const auto stored = files_.read(StateKind::kRing);
    ASSERT_TRUE(stored && *stored);
    EXPECT_GE(std::to_integer<std::uint64_t>(stored->value().front()), token) << "an older state than was told";
    if (token == kTokens) loop_.stop();
  });
  loop_.post([&] {
    for (std::uint64_t token = 1; token <= kTokens; ++token) writer.write(token, bytes_of(token));
    EXPECT_TRUE(told.empty()) << "told from inside of write()";
  });
  // The wait for the disk alone does not keep a loop running.
  io::Timer guard(loop_);
  guard.start(60'000, [&] { loop_.stop(); });
  loop_.run();
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back(), kTokens);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(files_.read(StateKind::kRing).value(), bytes_of(kTokens));
}

TEST_F(Writer, EndsWithTheNewestStateWritten) {
  {
    StateWriter writer(files_, loop_, [](std::uint64_t, const Status&) { ADD_FAILURE() << "told after its end"; });
    for (std::uint64_t token = 1; token <= 3; ++token) writer.write(token, bytes_of(token));
  }
  EXPECT_EQ(files_.read(StateKind::kRing).value(), bytes_of(3));
  loop_.post([&] { loop_.stop(); });
  loop_.run();
}

TEST_F(Writer, SaysWhenTheStateCannotBeKept) {
  Error why;
  StateWriter writer(files_, loop_, [&](std::uint64_t, const Status& status) {
    if (!status) why = status.error();
    loop_.stop();
  });
  std::filesystem::remove_all(directory_);
  loop_.post([&] { writer.write(1, bytes_of(1)); });
  io::Timer guard(loop_);
  guard.start(60'000, [&] { loop_.stop(); });
  loop_.run();
  EXPECT_NE(why.message.find("ring.new"), std::string::npos) << why.message;
}

}  // namespace
}  // namespace rk::daemon
