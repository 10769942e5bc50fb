// SPDX-License-Identifier: Apache-2.0
// Readers and writers against servers that answer wrongly.
#include "client/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "base/checksum.h"
#include "shm/memory_file.h"
#include "tests/unit/client/fake_server.h"
#include "wire/version_sum.h"

namespace rk::client {
namespace {

constexpr std::uint64_t kTotal = 8192;

std::unique_ptr<Connection> connect(const FakeServer& server, std::uint32_t timeout_ms = 60'000) {
  ConnectOptions options;
  options.socket_path = server.socket_path();
  options.timeout_ms = timeout_ms;
  auto connection = Connection::open(options);
  EXPECT_TRUE(connection) << connection.error().message;
  return connection ? *std::move(connection) : nullptr;
}

// A version of one section, "hello", as a good server gives it.
struct Content {
  shm::MemoryFile file;
  wire::CheckpointContent message;
  Content() : file(*shm::MemoryFile::create("test", kTotal)) {
    auto mapping = *shm::Mapping::map(file, shm::Access::kReadWrite);
    std::memcpy(mapping.writable().data(), "hello", 5);
    message.version = Version(3);
    message.total = kTotal;
    message.sections = {{"data", 0, 5, checksum(as_bytes("hello"))}};
    message.sum = wire::version_sum(message.sections);
  }
};

// Opens a reader at a server that gives this content.
Result<std::string> read_from(const wire::CheckpointContent& message, const std::vector<int>& descriptors) {
  FakeServer server([&](FakeSession& session) {
    session.greet();
    session.answer(session.next(), message, descriptors);
    session.next();
  });
  const auto connection = connect(server);
  RK_TRY(const Reader reader, Reader::open(*connection, "state", {}));
  RK_TRY(const ByteView bytes, reader.section("data"));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

TEST(Reader, GivesTheBytes) {
  const Content content;
  const auto text = read_from(content.message, {content.file.descriptor()});
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(*text, "hello");
}

// Its second byte is another one.
struct DamagedContent : Content {
  DamagedContent() {
    auto mapping = *shm::Mapping::map(file, shm::Access::kReadWrite);
    mapping.writable()[1] = std::byte{'u'};
  }
};

TEST(Reader, DamagedBytesAreToldToTheServerAndReadAnew) {
  DamagedContent damaged;
  damaged.message.slot = 4;
  const Content good;
  std::vector<wire::MessageType> asked;
  wire::CheckpointDamaged told;
  FakeServer server([&](FakeSession& session) {
    session.greet();
    for (wire::Frame frame = session.next(); frame.type != wire::MessageType::kNone; frame = session.next()) {
      asked.push_back(frame.type);
      if (frame.type == wire::MessageType::kCheckpointOpen) {
        const Content& content = asked.size() == 1 ? damaged : good;
        session.answer(frame, content.message, {content.file.descriptor()});
        continue;
      }
      if (frame.type == wire::MessageType::kCheckpointDamaged) told = *wire::from_frame<wire::CheckpointDamaged>(frame);
      session.answer(frame, wire::Done{});
    }
  });
  const auto connection = connect(server);
  const auto reader = Reader::open(*connection, "state", {});
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(std::memcmp(reader->section("data")->data(), "hello", 5), 0);
  using Type = wire::MessageType;
  EXPECT_EQ(asked, (std::vector{Type::kCheckpointOpen, Type::kCheckpointRelease, Type::kCheckpointDamaged,
                                Type::kCheckpointOpen}));
  EXPECT_EQ(told.name, "state");
  EXPECT_EQ(told.version, Version(3));
}

TEST(Reader, BytesThatStayDamagedAreCorruptInTheEnd) {
  const DamagedContent content;
  FakeServer server([&](FakeSession& session) {
    session.greet();
    for (wire::Frame frame = session.next(); frame.type != wire::MessageType::kNone; frame = session.next()) {
      if (frame.type == wire::MessageType::kCheckpointOpen)
        session.answer(frame, content.message, {content.file.descriptor()});
      else
        session.answer(frame, wire::Done{});
    }
  });
  const auto connection = connect(server, 200);
  const auto reader = Reader::open(*connection, "state", {});
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(reader.error().message.find("end whoever still writes to it"), std::string::npos);
}

TEST(Reader, ADamagedTableIsCorrupt) {
  Content content;
  content.message.sum ^= 1;
  EXPECT_EQ(read_from(content.message, {content.file.descriptor()}).error().code, ErrorCode::kCorrupt);
}

TEST(Reader, SectionsOutsideOfTheMemoryAreCorrupt) {
  for (const auto& [offset, size] : std::initializer_list<std::pair<std::uint64_t, std::uint64_t>>{
           {4096, 5000}, {kTotal + 4096, 1}, {UINT64_MAX - 4095, 4096}, {0, UINT64_MAX}, {17, 5}}) {
    Content content;
    content.message.sections[0].offset = offset;
    content.message.sections[0].size = size;
    EXPECT_EQ(read_from(content.message, {content.file.descriptor()}).error().code, ErrorCode::kCorrupt) << offset;
  }
}

TEST(Reader, AFileThatIsSmallerThanAnnouncedIsCorrupt) {
  Content content;
  content.message.total = 2 * kTotal;
  EXPECT_EQ(read_from(content.message, {content.file.descriptor()}).error().code, ErrorCode::kCorrupt);
}

TEST(Reader, AFileThatCouldShrinkIsCorrupt) {
  const Content content;
  const shm::Descriptor plain(::memfd_create("plain", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(plain.get(), kTotal), 0);
  EXPECT_EQ(read_from(content.message, {plain.get()}).error().code, ErrorCode::kCorrupt);
}

TEST(Reader, NoFileIsCorrupt) {
  const Content content;
  EXPECT_EQ(read_from(content.message, {}).error().code, ErrorCode::kCorrupt);
}

TEST(Writer, SectionsThatWereNotAskedForAreCorrupt) {
  const Content content;
  FakeServer server([&](FakeSession& session) {
    session.greet();
    session.answer(session.next(), wire::CheckpointSlot{1, kTotal, {{"other", 0, 5, 0}}}, {content.file.descriptor()});
    session.answer(session.next(), wire::Done{});  // the abandon
  });
  const auto connection = connect(server);
  EXPECT_EQ(Writer::begin(*connection, "state", {{"data", 5}}).error().code, ErrorCode::kCorrupt);
}

TEST(Writer, ResultsOfACommitAreToldApart) {
  const Content content;
  const auto commit = [&](const wire::CommitAnswer& answer) {
    FakeServer server([&](FakeSession& session) {
      session.greet();
      session.answer(session.next(), wire::CheckpointSlot{1, kTotal, {{"data", 0, 5, 0}}}, {content.file.descriptor()});
      session.answer(session.next(), answer);
    });
    const auto connection = connect(server);
    auto writer = Writer::begin(*connection, "state", {{"data", 5}});
    EXPECT_TRUE(writer) << writer.error().message;
    return writer->commit(wire::CommitLevel::kReplicated);
  };
  const auto ok = commit({wire::CommitResult::kOk, Version(4), 77, {}, 0});
  ASSERT_TRUE(ok);
  EXPECT_EQ(ok->version, Version(4));
  EXPECT_EQ(commit({wire::CommitResult::kFailed, {}, 0, "why", 0}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(commit({wire::CommitResult::kUnknown, {}, 0, "why", 0}).error().code, ErrorCode::kTimeout);
  EXPECT_EQ(commit({static_cast<wire::CommitResult>(9), {}, 0, {}, 0}).error().code, ErrorCode::kCorrupt);
}

// The server may have committed the version before it died.
TEST(Writer, ACommitWhoseServerDiesIsUnknown) {
  const Content content;
  std::unique_ptr<Connection> connection;
  {
    FakeServer server([&](FakeSession& session) {
      session.greet();
      session.answer(session.next(), wire::CheckpointSlot{1, kTotal, {{"data", 0, 5, 0}}}, {content.file.descriptor()});
      EXPECT_EQ(session.next().type, wire::MessageType::kCheckpointCommit);
    });
    connection = connect(server);
    auto writer = Writer::begin(*connection, "state", {{"data", 5}});
    ASSERT_TRUE(writer) << writer.error().message;
    EXPECT_EQ(writer->commit(wire::CommitLevel::kReplicated).error().code, ErrorCode::kTimeout);
  }
  // The next one is not even sent.
  EXPECT_EQ(commit_group(*connection, "group", {}, {}).error().code, ErrorCode::kPeerGone);
}

// --- answers that come after the server's lease ---

constexpr std::uint64_t kLongAgoMs = 1;

wire::CommitAnswer late_ok(std::uint64_t sum) { return {wire::CommitResult::kOk, Version(3), sum, {}, kLongAgoMs}; }

// Commits at a server that answers with `answer`, and then as `confirm` does.
Result<Committed> commit_late(const wire::CommitAnswer& answer, const std::function<void(FakeSession&)>& confirm) {
  const Content content;
  FakeServer server([&](FakeSession& session) {
    session.greet();
    session.answer(session.next(), wire::CheckpointSlot{1, kTotal, {{"data", 0, 5, 0}}}, {content.file.descriptor()});
    session.answer(session.next(), answer);
    confirm(session);
  });
  const auto connection = connect(server);
  auto writer = Writer::begin(*connection, "state", {{"data", 5}});
  EXPECT_TRUE(writer) << writer.error().message;
  return writer->commit(wire::CommitLevel::kReplicated);
}

TEST(Lease, ALateOkThatTheServerConfirmsIsOk) {
  Content content;
  content.message.slot = 9;
  bool released = false;
  const auto committed = commit_late(late_ok(content.message.sum), [&](FakeSession& session) {
    const auto open = session.next();
    EXPECT_EQ(wire::from_frame<wire::CheckpointOpen>(open)->version, Version(3));
    session.answer(open, content.message, {content.file.descriptor()});
    const auto release = session.next();
    released = release.type == wire::MessageType::kCheckpointRelease;
    session.answer(release, wire::Done{});
  });
  ASSERT_TRUE(committed) << committed.error().message;
  EXPECT_EQ(committed->version, Version(3));
  EXPECT_TRUE(released);
}

TEST(Lease, ALateOkThatNobodyConfirmsIsUnknown) {
  const Content content;
  const auto gone = [](FakeSession& session) {
    session.answer(session.next(), wire::Refusal{static_cast<std::int32_t>(ErrorCode::kNotFound), "gone"});
  };
  EXPECT_EQ(commit_late(late_ok(content.message.sum), gone).error().code, ErrorCode::kTimeout);
  EXPECT_EQ(commit_late(late_ok(content.message.sum), [](FakeSession&) {}).error().code, ErrorCode::kTimeout);
  const auto other_bytes = [&](FakeSession& session) {
    session.answer(session.next(), content.message, {content.file.descriptor()});
  };
  EXPECT_EQ(commit_late(late_ok(content.message.sum + 1), other_bytes).error().code, ErrorCode::kTimeout);
}

TEST(Lease, ALateFailureIsAFailure) {
  const wire::CommitAnswer failed{wire::CommitResult::kFailed, {}, 0, "why", kLongAgoMs};
  EXPECT_EQ(commit_late(failed, [](FakeSession&) {}).error().code, ErrorCode::kUnavailable);
}

TEST(Lease, ALateReadIsAskedAgain) {
  using Type = wire::MessageType;
  Content content;
  content.message.slot = 9;
  std::vector<Type> asked;
  {
    FakeServer server([&](FakeSession& session) {
      session.greet();
      wire::CheckpointContent late = content.message;
      late.lease_until_ms = kLongAgoMs;
      session.answer(session.next(), late, {content.file.descriptor()});
      for (wire::Frame frame = session.next(); frame.type != Type::kNone; frame = session.next()) {
        asked.push_back(frame.type);
        if (frame.type == Type::kCheckpointOpen)
          session.answer(frame, content.message, {content.file.descriptor()});
        else
          session.answer(frame, wire::Done{});
      }
    });
    const auto connection = connect(server);
    const auto reader = Reader::open(*connection, "state", {});
    ASSERT_TRUE(reader) << reader.error().message;
  }
  EXPECT_EQ(asked, (std::vector{Type::kCheckpointRelease, Type::kCheckpointOpen, Type::kCheckpointRelease}));
}

TEST(Lease, AReadWhoseAnswersAreAllLateEnds) {
  const Content content;
  FakeServer server([&](FakeSession& session) {
    session.greet();
    wire::CheckpointContent late = content.message;
    late.lease_until_ms = kLongAgoMs;
    for (wire::Frame frame = session.next(); frame.type != wire::MessageType::kNone; frame = session.next())
      session.answer(frame, late, {content.file.descriptor()});
  });
  const auto connection = connect(server, 200);
  EXPECT_EQ(Reader::open(*connection, "state", {}).error().code, ErrorCode::kTimeout);
}

TEST(Lease, ALateGroupRecordIsConfirmedByItsParts) {
  const std::vector<wire::GroupPart> parts{{"r0", Version(1), 7}};
  FakeServer server([&](FakeSession& session) {
    session.greet();
    session.answer(session.next(), late_ok(wire::version_sum(parts)));
    session.answer(session.next(), wire::GroupAnswer{Version(3), Version(3), parts, kLongAgoMs});
    session.answer(session.next(), wire::GroupAnswer{Version(3), Version(3), parts});
    session.answer(session.next(), late_ok(wire::version_sum(parts)));
    session.answer(session.next(), wire::GroupAnswer{Version(4), Version(3), parts});
  });
  const auto connection = connect(server);
  const auto committed = commit_group(*connection, "group", parts, {});
  ASSERT_TRUE(committed) << committed.error().message;
  EXPECT_EQ(*committed, Version(3));
  EXPECT_EQ(commit_group(*connection, "group", parts, {}).error().code, ErrorCode::kTimeout);
}

TEST(Names, OfAJobsPartsAreFixed) {
  EXPECT_EQ(group_name(JobId(0xabc), CommunityId(2)), "job/0000000000000abc/c2");
  EXPECT_EQ(part_name(JobId(0xabc), CommunityId(2), Rank(17)), "job/0000000000000abc/c2/r17");
}

}  // namespace
}  // namespace rk::client
