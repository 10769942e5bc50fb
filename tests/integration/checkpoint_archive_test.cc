// SPDX-License-Identifier: Apache-2.0
// `ringkeep export` and `import` between rings of real servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/integration/api_client.h"
#include "tests/integration/command.h"
#include "tests/integration/ring_fixture.h"

namespace rk::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class CheckpointArchive : public ::testing::Test {
 protected:
  static Ran at(const RingFixture& ring, const std::string& arguments, const std::string& after = " 2>&1",
                const std::string& before = "") {
    return run_ringkeep(arguments + " --socket " + ring.socket(1), after, before);
  }
  void put(const std::string& name, const std::string& content) {
    ASSERT_EQ(at(from_, "put " + name + " " + directory_.write("f", content)).code, 0);
  }
  std::string names(const RingFixture& ring) {
    std::string out;
    const Json all = Json::parse(at(ring, "list --json", "").output, nullptr, false);
    for (const Json& item : all["checkpoints"]) out += item["name"].get<std::string>() + " ";
    return out;
  }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  static std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

  TemporaryDirectory directory_;
  RingFixture from_{2};
  RingFixture to_{2};
};

TEST_F(CheckpointArchive, EverythingGoesFromOneRingToAnother) {
  const std::string large = std::string(3'000'000, 'x') + "\n\0end";
  put("grid", large);
  ASSERT_EQ(at(from_,
               "put mixed --section none=" + directory_.write("e", "") + " --section one=" + directory_.write("o", "1"))
                .code,
            0);
  const Ran exported = at(from_, "export --json -o " + path("all"), "");
  ASSERT_EQ(exported.code, 0);
  struct stat facts {};
  ASSERT_EQ(::stat(path("all").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0600U) << "nobody else reads it";
  const Json told = Json::parse(exported.output, nullptr, false);
  EXPECT_EQ(told["bytes"], facts.st_size);
  EXPECT_EQ(told["checkpoints"][0]["name"], "grid");
  EXPECT_EQ(told["checkpoints"][0]["bytes"], large.size());
  const Ran imported = at(to_, "import --json " + path("all"), "");
  ASSERT_EQ(imported.code, 0);
  EXPECT_EQ(Json::parse(imported.output, nullptr, false)["checkpoints"][1]["version"], 1);
  ASSERT_EQ(at(to_, "get grid -o " + path("out")).code, 0);
  EXPECT_EQ(content_of(path("out")), large);
  EXPECT_EQ(at(to_, "get mixed --section one").output, "1");
  EXPECT_EQ(at(to_, "get mixed --section none").output, "");
  // The copies are complete: the other server gives them too.
  EXPECT_EQ(run_ringkeep("get mixed --section one --socket " + to_.socket(2)).output, "1");
}

TEST_F(CheckpointArchive, NamesVersionsPrefixesAndStreams) {
  for (const char* name : {"run/a", "run/b", "other"}) put(name, "old");
  put("other", "new");
  ASSERT_EQ(
      at(from_, "export --prefix run/ other@1", " 2>&1 | " RINGKEEP_COMMAND " import --socket " + to_.socket(1)).code,
      0);
  EXPECT_EQ(names(to_), "other run/a run/b ");
  EXPECT_EQ(at(to_, "get other").output, "old");
  EXPECT_EQ(at(from_, "export nothing -o " + path("none")).code, 66);
  EXPECT_FALSE(exists(path("none")) || exists(path("none.part")));
  EXPECT_EQ(at(from_, "export --prefix nothing").code, 66);
  EXPECT_EQ(at(from_, "export other other@1").code, 64);
}

TEST_F(CheckpointArchive, ANameThatExistsStopsItBeforeAnythingIsChanged) {
  for (const char* name : {"a", "b", "c"}) put(name, "1");
  ASSERT_EQ(at(from_, "export -o " + path("all")).code, 0);
  ASSERT_EQ(at(from_, "rm a").code, 0);
  const Ran refused = at(from_, "import " + path("all"));
  EXPECT_EQ(refused.code, 73);
  EXPECT_THAT(refused.output, HasSubstr("\"b\", \"c\" exist already, so nothing was imported: --new-version"));
  EXPECT_EQ(names(from_), "b c ");
  put("b", "2");
  ASSERT_EQ(at(from_, "import --new-version " + path("all")).code, 0);
  EXPECT_EQ(names(from_), "a b c ");
  EXPECT_EQ(at(from_, "get b").output, "1");
  EXPECT_EQ(at(from_, "get b@2").output, "2") << "the version before stays";
}

TEST_F(CheckpointArchive, ADamagedFileChangesNothing) {
  put("a", "first");
  put("b", "second");
  ASSERT_EQ(at(from_, "export -o " + path("all")).code, 0);
  const std::string whole = content_of(path("all"));
  std::string flipped = whole;
  flipped[whole.find("second")] ^= 1;
  const struct {
    std::string content;
    const char* says;
  } cases[] = {{whole.substr(0, whole.size() - 1), "ends early"},
               {flipped, "section \"data\" of \"b\" has another checksum"},
               {whole + "x", "behind the end"},
               {"a letter, not an export", "it is no export"},
               {"", "ends early, after 0 bytes"}};
  for (const auto& one : cases) {
    const std::string file = directory_.write("bad", one.content);
    for (const char* how : {"import ", "import --check "}) {
      const Ran refused = at(to_, how + file);
      EXPECT_EQ(refused.code, 65) << one.says;
      EXPECT_THAT(refused.output, HasSubstr("cannot import " + file + ": "));
      EXPECT_THAT(refused.output, HasSubstr(one.says));
    }
    EXPECT_EQ(names(to_), "") << one.says;
  }
  // A stream cannot be looked at first: what was whole before the damage stays, and is told of.
  const Ran cut = at(to_, "import", " 2>&1", "head -c -1 " + path("all") + " | ");
  EXPECT_EQ(cut.code, 65);
  EXPECT_THAT(cut.output, HasSubstr("2 of 2 checkpoints were imported before, up to \"b\""));
  ASSERT_EQ(at(to_, "rm a b").code, 0);
  const Ran middle = at(to_, "import", " 2>&1", "cat " + directory_.write("bad", flipped) + " | ");
  EXPECT_EQ(middle.code, 65);
  EXPECT_EQ(names(to_), "a ") << "no version of the damaged one";
  EXPECT_EQ(at(to_, "get a").output, "first");
  EXPECT_EQ(run_ringkeep("import --check " + path("all")).code, 0) << "needs no server";
  EXPECT_EQ(at(to_, "import " + path("missing")).code, 66);
}

TEST_F(CheckpointArchive, AFullDiskAndABrokenPipe) {
  put("a", std::string(1'000'000, 'x'));
  const Ran device = at(from_, "export -o /dev/full");
  EXPECT_EQ(device.code, 71);
  EXPECT_THAT(device.output, HasSubstr("cannot write /dev/full: No space left on device"));
  EXPECT_FALSE(exists("/dev/full.part"));
  struct stat facts {};
  ASSERT_EQ(::stat("/dev/full", &facts), 0);
  EXPECT_TRUE(S_ISCHR(facts.st_mode)) << "a device is not replaced";
  EXPECT_EQ(at(from_, "export", " 2>&1 >/dev/full").code, 71);
  // A limit of the size of files is what a disk that fills meanwhile is.
  const std::string kept = directory_.write("kept", "old");
  const Ran full = at(from_, "export -o " + kept, " 2>&1", "trap '' XFSZ; ulimit -f 512; ");
  EXPECT_EQ(full.code, 71) << full.output;
  EXPECT_EQ(content_of(kept), "old");
  EXPECT_FALSE(exists(kept + ".part"));
  // It ends by SIGPIPE, as others in a pipe do; the shell tells the command's status.
  EXPECT_EQ(at(from_, "export", " | true; exit ${PIPESTATUS[0]}'", "bash -c '").code, 141);
}

TEST_F(CheckpointArchive, ALargeCheckpointIsNotHeldInMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer takes more private memory than the limit";
#endif
  const std::string large(std::size_t{40} << 20U, 'x');
  put("large", large);
  const std::string limited = "ulimit -d 16384; ";  // KiB that are private to the process
  ASSERT_EQ(at(from_, "export -o " + path("all"), " 2>&1", limited).output,
            "1 checkpoint, 41943040 bytes, exported to " + path("all") + "\n");
  ASSERT_EQ(at(to_, "import " + path("all"), " 2>&1", limited).output, "1 checkpoint, 41943040 bytes, imported\n");
  EXPECT_NE(at(from_, "put again", " 2>&1", limited + "cat " + path("all") + " | ").code, 0)
      << "the limit is one that a whole copy breaks";
  ASSERT_EQ(at(to_, "get large -o " + path("out")).code, 0);
  EXPECT_TRUE(content_of(path("out")) == large);
}

}  // namespace
}  // namespace rk::testing
