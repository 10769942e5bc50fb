// SPDX-License-Identifier: Apache-2.0
// `ringkeep keygen` as users call it, and a change of keys while three servers run.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "keys/key_file.h"
#include "ringkeep/ringkeep.h"
#include "tests/integration/command.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

Ran keygen(const std::string& arguments) { return run_ringkeep("keygen " + arguments); }

std::string secret_of(const keys::ClusterKey& key) { return key.line().substr(key.line().rfind(' ') + 1); }

class Keygen : public ::testing::Test {
 protected:
  // It failed with that status and one line that has the words.
  static void expect_refused(const Ran& ran, int code, const std::vector<std::string>& words) {
    EXPECT_EQ(ran.code, code) << ran.output;
    for (const std::string& word : words) EXPECT_NE(ran.output.find(word), std::string::npos) << ran.output;
    EXPECT_EQ(std::count(ran.output.begin(), ran.output.end(), '\n'), 1) << ran.output;
  }
  TemporaryDirectory directory_;
  std::string file_ = directory_.path() + "/key";
};

TEST_F(Keygen, MakesAFileForItsOwnerAndNeverShowsTheKey) {
  const Ran made = keygen(file_);
  EXPECT_EQ(made.code, 0) << made.output;
  struct stat info {};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0400U);
  for (const char* const form : {"--show ", "--show --json ", "--add ", "--add --json ", "--promote --json "}) {
    const Ran ran = keygen(form + file_);
    EXPECT_EQ(ran.code, 0) << ran.output;
    const auto keys = keys::read_key_file(file_).value();
    for (const keys::ClusterKey& key : keys.all()) {
      EXPECT_NE(ran.output.find(key.id()), std::string::npos) << ran.output;
      EXPECT_EQ(ran.output.find(secret_of(key)), std::string::npos);
    }
  }
}

TEST_F(Keygen, NothingIsOverwritten) {
  ASSERT_EQ(keygen(file_).code, 0);
  const std::string id = keys::read_key_file(file_).value().first().id();
  expect_refused(keygen(file_), 73, {file_, "exists", "--add"});
  EXPECT_EQ(keys::read_key_file(file_).value().first().id(), id);
}

TEST_F(Keygen, EachRefusalNamesCauseAndCure) {
  expect_refused(keygen("--add " + file_), 66, {file_, "does not exist", "ringkeep keygen"});
  ASSERT_EQ(keygen(file_).code, 0);
  expect_refused(keygen("--promote " + file_), 64, {"--add"});
  expect_refused(keygen("--add --drop-others " + file_), 64, {"--add"});
  for (std::size_t i = 1; i < keys::kMaxKeys; ++i) ASSERT_EQ(keygen("--add " + file_).code, 0);
  expect_refused(keygen("--add " + file_), 75, {"--drop-others"});
  const std::string open = directory_.write("open", keys::KeySet::generate().text(), 0644);
  expect_refused(keygen("--add " + open), 77, {open, "chmod 400"});
  const std::string damaged = directory_.write("damaged", "ringkeep-key-1 1 abc\n", 0600);
  expect_refused(keygen("--show " + damaged), 64, {damaged, "line 1"});
}

// Three servers through all steps, each of which reaches one server after the other, as an operator's copies do.
class Rotation : public ::testing::Test {
 protected:
  void copy_to_all_and_reload(const std::string& from) {
    for (std::uint32_t node = 1; node <= 3; ++node) {
      if (ring_.key_file(node) != from) {
        std::filesystem::copy_file(from, ring_.key_file(node) + ".copy");
        std::filesystem::rename(ring_.key_file(node) + ".copy", ring_.key_file(node));
      }
      reload(node, "keys loaded again");
      expect_whole(node);
    }
  }
  // SIGHUP, and the log has the words once more.
  void reload(std::uint32_t node, const std::string& words) {
    const auto count = [&] {
      const std::string log = ring_.server(node).output();
      int found = 0;
      for (std::size_t at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) ++found;
      return found;
    };
    const int before = count();
    ring_.server(node).kill(SIGHUP);
    EXPECT_TRUE(ring_.await_status(node, [&](const auto&) { return count() > before; })) << ring_.server(node).output();
  }
  // All are linked again and are the members that they were.
  void expect_whole(std::uint32_t reloaded) {
    for (std::uint32_t node = 1; node <= 3; ++node) {
      EXPECT_TRUE(ring_.await_status(node,
                                     [](const wire::StatusAnswer& status) {
                                       return std::all_of(status.members.begin(), status.members.end(),
                                                          [](const auto& m) { return m.connected; });
                                     }))
          << "server " << node << " after the reload of " << reloaded;
      const auto status = ring_.status(node);
      ASSERT_TRUE(status);
      EXPECT_EQ(status->state, "serving");
      EXPECT_EQ(status->view, first_.view);
      ASSERT_EQ(status->members.size(), 3U);
      for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(status->members[i].incarnation, first_.members[i].incarnation);
    }
  }
  // Whether each link of each server was made with that key.
  bool all_links_under(const std::string& id) {
    for (std::uint32_t node = 1; node <= 3; ++node) {
      const wire::StatusAnswer status = ring_.status(node).value();
      for (const auto& member : status.members)
        if (member.node != NodeId(node) && member.key != id) return false;
    }
    return true;
  }
  std::uint64_t links_made() {
    std::uint64_t made = 0;
    for (std::uint32_t node = 1; node <= 3; ++node) made += ring_.status(node)->links.made;
    return made;
  }
  bool says(std::uint32_t node, const std::string& words) {
    return ring_.server(node).output().find(words) != std::string::npos;
  }

  RingFixture ring_{3};
  wire::StatusAnswer first_ = ring_.status(1).value();
};

// Commits on one server, one after the other, for as long as it lives; none may fail.
class Writer {
 public:
  explicit Writer(const std::string& socket) : thread_([this, socket] { write(socket); }) {}
  ~Writer() {
    ended_ = true;
    thread_.join();
    EXPECT_GT(committed_, 0);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

 private:
  void write(const std::string& socket) {
    rk_client* client = nullptr;
    const rk_options options{sizeof(rk_options), socket.c_str(), "keygen_test", 0, 0};
    ASSERT_EQ(rk_open(&options, &client), RK_OK) << rk_last_error();
    const std::string data(300'000, 'x');
    while (!ended_) {
      EXPECT_EQ(rk_put(client, "state", data.data(), data.size(), nullptr), RK_OK) << rk_last_error();
      ++committed_;
    }
    rk_close(client);
  }
  std::atomic<bool> ended_{false};
  int committed_ = 0;
  std::thread thread_;
};

TEST_F(Rotation, KeysChangeWhileTheRingServes) {
  const std::string file = ring_.key_file(1);
  const std::string old_key = ring_.keys().first().id();
  const std::string old_text = ring_.keys().text();
  EXPECT_TRUE(all_links_under(old_key));
  const std::uint64_t made = links_made();
  std::optional<Writer> writer(std::in_place, ring_.socket(2));
  ASSERT_EQ(keygen("--add " + file).code, 0);
  copy_to_all_and_reload(file);
  ASSERT_EQ(keygen("--promote " + file).code, 0);
  copy_to_all_and_reload(file);
  EXPECT_EQ(links_made(), made) << "a link whose key is still accepted lives on";
  EXPECT_TRUE(all_links_under(old_key));
  ASSERT_EQ(keygen("--drop-others " + file).code, 0);
  copy_to_all_and_reload(file);
  const auto fresh = keys::read_key_file(file).value().first();
  EXPECT_NE(fresh.id(), old_key);
  EXPECT_TRUE(ring_.await_status(1, [&](const auto&) { return all_links_under(fresh.id()); }));
  EXPECT_EQ(links_made(), made + 6) << "each was made anew once, as both its ends count";
  expect_whole(0);

  writer.reset();

  // A server that missed all of it comes back with the old key.
  std::filesystem::remove(ring_.key_file(3));
  std::ofstream(ring_.key_file(3)) << old_text;
  ASSERT_EQ(::chmod(ring_.key_file(3).c_str(), 0400), 0);
  ring_.server(3).kill(SIGKILL);
  ring_.server(3).wait();
  ASSERT_FALSE(ring_.start(3).exit_code);
  EXPECT_TRUE(ring_.await_status(1,
                                 [&](const auto&) {
                                   return says(1, "the other server does not accept " + fresh.name()) &&
                                          says(3, "dials with the key " + fresh.id() +
                                                      ", which is not in this server's key file");
                                 }))
      << ring_.server(1).output() << ring_.server(3).output();
  EXPECT_TRUE(ring_.server(3).running());
}

TEST_F(Rotation, ABadFileLeavesTheKeysAsTheyAre) {
  for (std::uint32_t node = 1; node <= 3; ++node) {
    const auto put = [&](const std::string& text, mode_t mode) {
      std::filesystem::remove(ring_.key_file(node));
      std::ofstream(ring_.key_file(node)) << text;
      ASSERT_EQ(::chmod(ring_.key_file(node).c_str(), mode), 0);
    };
    put("ringkeep-key-1 1 cut of", 0400);
    reload(node, "the keys stay as they are");
    put(ring_.keys().text(), 0444);
    reload(node, "chmod 400");
    std::filesystem::remove(ring_.key_file(node));
    reload(node, "does not exist");
  }
  expect_whole(3);
  EXPECT_TRUE(all_links_under(ring_.keys().first().id()));
}

}  // namespace
}  // namespace rk::testing
