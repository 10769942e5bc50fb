// SPDX-License-Identifier: Apache-2.0
// The number and the exact payload of every message, as release 0.1 sends it. These rows stay for ever: a change of any
// of them breaks clusters of mixed releases. A later minor version that appends fields to a message adds a table of its
// own and decodes these rows with the minor version of theirs.
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <utility>

#include "wire/client_messages.h"
#include "wire/control_messages.h"
#include "wire/keep_messages.h"
#include "wire/log_messages.h"
#include "wire/peer_messages.h"
#include "wire/ring_messages.h"

namespace rk::wire {
namespace {

constexpr std::uint16_t kMinorOfRelease_0_1 = 0;
constexpr std::size_t kNumbers = 0x800;  // above every conversation family

// Whether MessageType has an enumerator of this value: the compiler prints its name, or a cast of the number.
template <MessageType Type>
constexpr bool is_named() {
  return std::string_view(__PRETTY_FUNCTION__).find("Type = (") == std::string_view::npos;
}

template <std::size_t... Number>
std::set<std::uint32_t> named_types(std::index_sequence<Number...>) {
  std::set<std::uint32_t> types;
  ((is_named<static_cast<MessageType>(Number)>() ? void(types.insert(Number)) : void()), ...);
  types.erase(static_cast<std::uint32_t>(MessageType::kNone));
  return types;
}

struct Row {
  std::uint32_t number;
  std::uint32_t type;  // of the struct
  std::string hex;
  Bytes encoded;
  std::function<Result<Bytes>(ByteView)> again;  // decoded and encoded
};

template <class Message>
Row row(std::uint32_t number, const Message& message, std::string hex) {
  return {number, static_cast<std::uint32_t>(Message::kType), std::move(hex), encode(message),
          [](ByteView payload) -> Result<Bytes> {
            RK_TRY(const auto read, decode<Message>(payload, "message", kMinorOfRelease_0_1));
            return encode(read);
          }};
}

Bytes bytes(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

const std::vector<CommunityId> kCommunities{CommunityId(0), CommunityId(1)};
const std::vector<SectionPlace> kPlaces{{"data", 4096, 5, 9}};
const std::vector<GroupPart> kParts{{"part", Version(3), 4}};
const KeepKey kKey{OwnerId(1000), KeepKind::kGroup, "g"};
const VersionContent kContent{Version(2), Incarnation(3), 8192, 4, kPlaces, kParts};
const RingLease kLease{1000, 900, 800, 300, 500};
const std::string kLeaseHex = "e803000000000000840300000000000020030000000000002c010000f4010000";
const RingView kView{ViewNumber(2),
                     {{NodeId(1), Incarnation(3)}, {NodeId(4), Incarnation(5)}},
                     {{NodeId(2), {}}},
                     {NodeId(4)},
                     NodeId(1),
                     {NodeId(4), ViewNumber(9), 17},
                     {{NodeId(4), Incarnation(4)}}};
const std::string kViewHex =
    "0200000000000000020000000100000003000000000000000400000005000000000000000100000002000000000000000000000001000000"
    "0400000001000000"
    "040000000900000000000000110000000000000001000000040000000400000000000000";
const LayerStats kStats{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

void add_client_rows(std::vector<Row>& rows) {
  rows.push_back(row(0x1, Refusal{12, "no"}, "0c000000020000006e6f"));
  rows.push_back(row(0x100, ClientHello{{0, 1}, ClusterId(0x1122334455667788), "heat2d", true},
                     "0000010088776655443322110600000068656174326401"));
  rows.push_back(row(0x101, ServerHello{1, ClusterId(2), NodeId(3), Incarnation(4), "0.1.0"},
                     "0100020000000000000003000000040000000000000005000000302e312e30"));
  rows.push_back(row(0x102, StatusQuery{}, ""));
  rows.push_back(
      row(0x103,
          StatusAnswer{ClusterId(1),
                       NodeId(2),
                       Incarnation(3),
                       4,
                       ViewNumber(5),
                       "serving",
                       "why",
                       {{NodeId(6), Incarnation(7), "h:1", true, "k1", true}},
                       8,
                       9,
                       10,
                       {{JobId(11), OwnerId(12), 13, 14, 15}},
                       {true, 16, 17, 18, 19},
                       {20, NodeId(21), ViewNumber(22), 23},
                       {24, 25, 26, 27, 28},
                       {29, 30, 31, 32},
                       {33, 34, 35, 36}},
          "01000000000000000200000003000000000000000400000005000000000000000700000073657276696e670300000077"
          "68790100000006000000070000000000000003000000683a3101020000006b310108000000000000000900000000000000"
          "0a00000000000000010000000b000000000000000c0000000d0000000e0000000f000000000000000110000000000000"
          "00110000000000000012000000000000001300000000000000"
          "140000001500000016000000000000001700000000000000"
          "180000000000000019000000000000001a000000000000001b000000000000001c00000000000000"
          "1d000000000000001e000000000000001f000000000000002000000000000000"
          "2100000000000000220000000000000023000000000000002400000000000000"));
}

void add_client_event_rows(std::vector<Row>& rows) {
  rows.push_back(row(0x104, EventsSubscribe{true}, "01"));
  rows.push_back(row(0x105,
                     ServerEvent{1,
                                 2,
                                 3,
                                 4,
                                 NodeId(5),
                                 "link_up",
                                 NodeId(6),
                                 Incarnation(7),
                                 "why",
                                 ViewNumber(8),
                                 ViewNumber(9),
                                 {{NodeId(10), Incarnation(11)}},
                                 {{NodeId(12), Incarnation(13)}},
                                 {{NodeId(14), Incarnation(15)}},
                                 {{NodeId(16), Incarnation(17)}},
                                 {{NodeId(18), Incarnation(19)}},
                                 20,
                                 21,
                                 JobId(22),
                                 OwnerId(23),
                                 24,
                                 NodeId(25),
                                 {26, NodeId(27), ViewNumber(28), 29},
                                 "jobs",
                                 Version(30)},
                     "010000000000000002000000000000000300000000000000040000000000000005000000070000006c696e6b5f757006"
                     "00000007000000000000000300000077687908000000000000000900000000000000010000000a0000000b0000000000"
                     "0000010000000c0000000d00000000000000010000000e0000000f000000000000000100000010000000110000000000"
                     "000001000000120000001300000000000000140000000000000015000000000000001600000000000000170000001800"
                     "000019000000"
                     "1a0000001b0000001c000000000000001d00000000000000"
                     "040000006a6f62731e00000000000000"));
}

void add_client_ring_rows(std::vector<Row>& rows) {
  rows.push_back(row(0x106, RingQuery{}, ""));
  rows.push_back(row(0x107,
                     RingAnswer{1,
                                ClusterId(2),
                                NodeId(3),
                                Incarnation(4),
                                ViewNumber(5),
                                ViewNumber(6),
                                "wedged",
                                "why",
                                NodeId(7),
                                {{NodeId(8), Incarnation(9), "h:1", true, false, "up", "x", "r1", true}},
                                {{"ack", 10, 11, 12, 13}},
                                14,
                                15,
                                16,
                                17,
                                {18, NodeId(19), ViewNumber(20), 21}},
                     "010000000000000002000000000000000300000004000000000000000500000000000000060000000000000006000000"
                     "77656467656403000000776879070000000100000008000000090000000000000003000000683a310100020000007570"
                     "010000007802000000723101"
                     "010000000300000061636b0a000000000000000b000000000000000c000000000000000d00000000000000"
                     "0e000000000000000f0000000000000010000000000000001100000000000000"
                     "120000001300000014000000000000001500000000000000"));
  rows.push_back(row(0x108, OverrideRequest{true}, "01"));
  rows.push_back(row(0x109,
                     OverrideAnswer{true,
                                    "no",
                                    ViewNumber(1),
                                    {2, NodeId(3), ViewNumber(4), 5},
                                    {NodeId(6)},
                                    {NodeId(7), NodeId(8)},
                                    {NodeId(9)}},
                     "01020000006e6f01000000000000000200000003000000040000000000000005000000000000000100000006000000"
                     "0200000007000000080000000100000009000000"));
}

void add_client_keep_rows(std::vector<Row>& rows) {
  rows.push_back(row(0x110, CheckpointBegin{"jobs", {{"queue", 10}, {"index", 0}}},
                     "040000006a6f6273020000000500000071756575650a0000000000000005000000696e6465780000000000000000"));
  rows.push_back(row(0x111, CheckpointSlot{1, 8192, kPlaces},
                     "010000000000000000200000000000000100000004000000646174610010000000000000050000000000000009000000"
                     "00000000"));
  rows.push_back(row(0x112, CheckpointCommit{1, CommitLevel::kReplicated, 500}, "010000000000000001f4010000"));
  rows.push_back(row(0x113, CommitAnswer{CommitResult::kUnknown, Version(2), 3, "why", 6},
                     "0202000000000000000300000000000000030000007768790600000000000000"));
  rows.push_back(row(0x114, CheckpointAbandon{1}, "0100000000000000"));
  rows.push_back(row(0x115, CheckpointOpen{"jobs", Version(2)}, "040000006a6f62730200000000000000"));
  rows.push_back(row(0x116, CheckpointContent{Version(1), 8192, 3, kPlaces, NodeId(4), 5, 6},
                     "010000000000000000200000000000000300000000000000010000000400000064617461001000000000000005000000"
                     "0000000009000000000000000400000005000000000000000600000000000000"));
  rows.push_back(row(0x117, CheckpointList{"job", "j"}, "030000006a6f62010000006a"));
  rows.push_back(
      row(0x118,
          CheckpointListAnswer{
              {{"jobs", NodeId(5), true, Version(2), {Version(1), Version(2)}, 10, {NodeId(3), NodeId(4)}}},
              "x",
              {{NodeId(6), 7, 8}}},
          "01000000040000006a6f62730500000001020000000000000002000000010000000000000002000000000000000a000000"
          "000000000200000003000000040000000100000078010000000600000007000000000000000800000000000000"));
  rows.push_back(row(0x119, CheckpointDelete{"jobs"}, "040000006a6f6273"));
  rows.push_back(row(0x11a, GroupCommit{"g", kParts, 500},
                     "010000006701000000040000007061727403000000000000000400000000000000f4010000"));
  rows.push_back(row(0x11b, GroupQuery{"g"}, "0100000067"));
  rows.push_back(row(0x11c, GroupAnswer{Version(2), Version(1), kParts, 6},
                     "0200000000000000010000000000000001000000040000007061727403000000000000000400000000000000"
                     "0600000000000000"));
  rows.push_back(row(0x11d, Done{}, ""));
  rows.push_back(row(0x11e, CheckpointRelease{1}, "0100000000000000"));
  rows.push_back(row(0x11f, CheckpointInspect{"jobs"}, "040000006a6f6273"));
  rows.push_back(
      row(0x120, CheckpointInspected{NodeId(1), "no", {{Version(2), Incarnation(3), 8192, 4, kPlaces, {NodeId(5)}}}, 6},
          "01000000020000006e6f010000000200000000000000030000000000000000200000000000000400000000000000010000000400"
          "00006461746100100000000000000500000000000000090000000000000001000000050000000600000000000000"));
  const Bytes two = bytes({1, 2});
  const CheckpointPut put{"jobs", {{"data", two}}, CommitLevel::kReplicated, 5};
  rows.push_back(row(0x121, put, "040000006a6f62730100000004000000646174610200000001020105000000"));
}

void add_client_integrity_rows(std::vector<Row>& rows) {
  rows.push_back(row(0x122, CheckpointDamaged{"jobs", Version(2)}, "040000006a6f62730200000000000000"));
  rows.push_back(row(0x123, CheckpointVerify{"jobs", Version(2), 500}, "040000006a6f62730200000000000000f4010000"));
  rows.push_back(row(0x124,
                     CheckpointVerified{{{Version(2),
                                          8192,
                                          {{NodeId(3), CopyState::kGood},
                                           {NodeId(4), CopyState::kRepaired},
                                           {NodeId(5), CopyState::kDamaged},
                                           {NodeId(6), CopyState::kAbsent},
                                           {NodeId(7), CopyState::kUnreadable}}}}},
                     "0100000002000000000000000020000000000000050000000300000000040000000105000000020600000003"
                     "0700000004"));
}

void add_client_log_rows(std::vector<Row>& rows) {
  rows.push_back(
      row(0x130, JobCreate{JobId(1), kCommunities, 2}, "01000000000000000200000000000000010000000200000000000000"));
  rows.push_back(row(0x131, JobAttach{JobId(1), Rank(2)}, "010000000000000002000000"));
  rows.push_back(row(0x132, JobAttached{kCommunities, 1, 2, 3},
                     "020000000000000001000000010000000000000002000000000000000300000000000000"));
  rows.push_back(row(0x133, SegmentOpen{JobId(1), Rank(2)}, "010000000000000002000000"));
  rows.push_back(row(0x134, SegmentOpened{1}, "0100000000000000"));
  rows.push_back(row(0x135, LogGrow{JobId(1), Rank(2), 3}, "0100000000000000020000000300000000000000"));
  rows.push_back(row(0x136, LogGrown{1}, "0100000000000000"));
  rows.push_back(row(0x137, JobFence{JobId(1), CommunityId(2)}, "010000000000000002000000"));
  rows.push_back(row(0x138, JobRemove{JobId(1)}, "0100000000000000"));
  rows.push_back(row(0x139, ServerNotice{true, "server 2"}, "01080000007365727665722032"));
}

void add_peer_rows(std::vector<Row>& rows) {
  rows.push_back(row(0x200,
                     PeerHello{{0, 1}, ClusterId(2), NodeId(3), NodeId(4), Incarnation(5), bytes({6, 6}), bytes({7})},
                     "000001000200000000000000030000000400000005000000000000000200000006060100000007"));
  rows.push_back(row(0x201, PeerChallenge{{0, 1}, ClusterId(2), NodeId(3), Incarnation(4), bytes({5, 5})},
                     "000001000200000000000000030000000400000000000000020000000505"));
  rows.push_back(row(0x202, PeerProof{bytes({1, 2})}, "020000000102"));
  rows.push_back(row(0x203, PeerLeaving{}, ""));
  rows.push_back(row(0x210, RingHeartbeat{ViewNumber(9), Incarnation(2), true, NodeId(3), kLease},
                     "090000000000000002000000000000000103000000" + kLeaseHex));
  rows.push_back(
      row(0x211, RingAccuse{ViewNumber(9), {NodeId(7), Incarnation(8)}}, "0900000000000000070000000800000000000000"));
  rows.push_back(row(0x212, RingProbeRequest{ViewNumber(9), {NodeId(7), Incarnation(8)}},
                     "0900000000000000070000000800000000000000"));
  rows.push_back(row(0x213, RingPropose{Incarnation(6), {7, NodeId(3)}, kView, kView, kLease},
                     "06000000000000000700000003000000" + kViewHex + kViewHex + kLeaseHex));
  rows.push_back(row(0x214, RingAck{ViewNumber(9), {7, NodeId(3)}, Incarnation(1), kLease},
                     "090000000000000007000000030000000100000000000000" + kLeaseHex));
  rows.push_back(row(0x215, RingCommit{kView, kLease, 450}, kViewHex + kLeaseHex + "c2010000"));
  rows.push_back(row(0x216, RingJoin{ViewNumber(9), Incarnation(1)}, "09000000000000000100000000000000"));
  rows.push_back(row(0x217, RingLeave{ViewNumber(9)}, "0900000000000000"));
  rows.push_back(
      row(0x218, RingPrepare{Incarnation(6), {7, NodeId(3)}, kView}, "06000000000000000700000003000000" + kViewHex));
  rows.push_back(row(0x219, RingPromise{ViewNumber(3), {7, NodeId(3)}, Incarnation(6), {1, NodeId(2)}, kView, 450},
                     "030000000000000007000000030000000600000000000000"
                     "0100000002000000" +
                         kViewHex + "c2010000"));
}

void add_keep_and_log_rows(std::vector<Row>& rows) {
  const CopyDelta delta{Version(5), 6, {{7, 8}, {17, 1}}};
  rows.push_back(row(0x240, CopyOffer{ViewNumber(1), 2, true, kKey, kContent, Version(3), Version(4), delta},
                     "0100000000000000020000000000000001e8030000010100000067020000000000000003000000000000000020000000"
                     "000000040000000000000001000000040000006461746100100000000000000500000000000000090000000000000001"
                     "00000004000000706172740300000000000000040000000000000003000000000000000400000000000000"
                     "0500000000000000060000000000000002000000"
                     "07000000080000001100000001000000"));
  rows.push_back(
      row(0x241, CopyChunk{0x0102, 0x10, bytes({0xaa, 0xbb})}, "0201000000000000100000000000000002000000aabb"));
  rows.push_back(row(0x242, CopyAnswer{ViewNumber(3), 4, CopyResult::kRefused, "no"},
                     "0300000000000000040000000000000002020000006e6f"));
  rows.push_back(row(0x243, CopyFetch{ViewNumber(1), kFetchBit + 2, kKey, Version(3)},
                     "01000000000000000200000000000080e80300000101000000670300000000000000"));
  rows.push_back(row(0x244, CopyRetain{ViewNumber(1), kKey, Version(2), Version(3), Version(5), {Version(4)}},
                     "0100000000000000e8030000010100000067020000000000000003000000000000000500000000000000010000000400"
                     "000000000000"));
  rows.push_back(row(0x245, KeepLookup{ViewNumber(1), 2, true, kKey, true},
                     "0100000000000000020000000000000001e803000001010000006701"));
  KeepLookupAnswer answer;
  answer.view = ViewNumber(1);
  answer.round = 2;
  answer.home = answer.current = answer.since_first = answer.claimants_live = answer.claiming = true;
  answer.floor = Version(3);
  answer.highest = Version(4);
  answer.committed = Version(5);
  answer.owed = Version(6);
  answer.versions = {{kContent, true, false}};
  answer.key = kKey;
  answer.informed = {NodeId(3)};
  answer.last_copy = 7;
  answer.fence = Incarnation(8);
  rows.push_back(row(0x246, answer,
                     "010000000000000002000000000000000100010300000000000000040000000000000005000000000000000600000000"
                     "000000010000000200000000000000030000000000000000200000000000000400000000000000010000000400000064"
                     "617461001000000000000005000000000000000900000000000000010000000400000070617274030000000000000004"
                     "00000000000000010001e803000001010000006701010100000003000000"
                     "07000000000000000800000000000000"));
  rows.push_back(row(0x247, KeepRemove{ViewNumber(1), 2, true, kKey, Version(3)},
                     "0100000000000000020000000000000001e80300000101000000670300000000000000"));
  rows.push_back(row(0x248, KeepRemoved{ViewNumber(1), 2}, "01000000000000000200000000000000"));
  rows.push_back(row(0x249, KeepOutdate{ViewNumber(1), kKey, Version(2), {{NodeId(3), 7}}},
                     "0100000000000000e80300000101000000670200000000000000"
                     "01000000030000000700000000000000"));
  rows.push_back(row(0x24a, KeepOutdated{ViewNumber(1), kKey, Version(2), Version(3)},
                     "0100000000000000e80300000101000000670200000000000000"
                     "0300000000000000"));
  rows.push_back(
      row(0x24b, KeepNames{ViewNumber(1), 2, {{kKey, Version(3), Version(4), Version(5), Version(6), true}}},
          "0100000000000000020000000000000001000000e80300000101000000670300000000000000040000000000000005000000"
          "00000000060000000000000001"));
  rows.push_back(row(0x24c, KeepNamesHeard{ViewNumber(1), 2}, "01000000000000000200000000000000"));
  rows.push_back(row(0x24d, KeepList{ViewNumber(1), 2, OwnerId(3), "a", "b"},
                     "0100000000000000020000000000000003000000010000006101000000"
                     "62"));
  rows.push_back(row(
      0x24e,
      KeepListed{
          ViewNumber(1), 2, {{"a", true, false, Version(3), {Version(4)}, {Version(5)}, 6}}, true, {NodeId(7), 8, 9}},
      "010000000000000002000000000000000100000001000000610100030000000000000001000000040000000000000001000000"
      "05000000000000000600000000000000"
      "01070000000800000000000000"
      "0900000000000000"));
  rows.push_back(
      row(0x24f, KeepDamaged{ViewNumber(1), kKey, Version(2)}, "0100000000000000e80300000101000000670200000000000000"));
  rows.push_back(row(0x250, KeepDamagedHeard{ViewNumber(1), kKey, Version(2), true},
                     "0100000000000000e8030000010100000067020000000000000001"));
  rows.push_back(
      row(0x251, KeepSuspect{ViewNumber(1), kKey, Version(2)}, "0100000000000000e80300000101000000670200000000000000"));
  rows.push_back(row(0x252, KeepVerify{ViewNumber(1), 2, kKey, Version(3)},
                     "01000000000000000200000000000000e80300000101000000670300000000000000"));
  rows.push_back(row(0x253, KeepVerified{ViewNumber(1), 2, true, {{Version(3), 4, CopyState::kRepaired}}},
                     "01000000000000000200000000000000010100000003000000000000000400000000000000"
                     "01"));
  rows.push_back(
      row(0x270, LogRecords{JobId(1), Rank(2), Rank(3), 4, {{Ssn(5), 6, 7, -8, Incarnation(9), 10, 11, bytes({0xaa})}}},
          "010000000000000002000000030000000400000000000000010000000500000000000000060000000000000007000000"
          "00000000f8ffffff09000000000000000a000000000000000b0000000000000001000000aa"));
  rows.push_back(row(0x271, LogArrived{JobId(1), Rank(2), Rank(3), 4, Ssn(5)},
                     "0100000000000000020000000300000004000000000000000500000000000000"));
  rows.push_back(row(0x272, LogFrom{JobId(1), Rank(2), Rank(3), 4, Ssn(5)},
                     "0100000000000000020000000300000004000000000000000500000000000000"));
}

void add_control_rows(std::vector<Row>& rows) {
  rows.push_back(row(0x300, ProcessHello{{0, 1}, JobId(2), CommunityId(3), Incarnation(4), 5},
                     "00000100020000000000000003000000040000000000000005000000"));
  rows.push_back(row(0x301, ProcessStart{Rank(1), true, {2, 3}, {{"NAME", "value"}}},
                     "010000000102000000020000000300000001000000040000004e414d450500000076616c7565"));
  rows.push_back(row(0x302, LayerReady{"Open MPI", true}, "080000004f70656e204d504901"));
  rows.push_back(row(0x303, OutputPosition{}, ""));
  rows.push_back(row(0x304, OutputPositionAnswer{1, 2}, "01000000000000000200000000000000"));
  rows.push_back(row(0x305, OutputResume{1, 2}, "01000000000000000200000000000000"));
  rows.push_back(row(0x306, PhaseReport{Phase::kCheckpointed, Version(3)}, "020300000000000000"));
  rows.push_back(row(0x307, kStats,
                     "010000000000000002000000000000000300000000000000040000000000000005000000000000000600000000000000"
                     "0700000000000000080000000000000009000000000000000a000000000000000b00000000000000"));
  rows.push_back(row(0x308, JobAbort{-1, "why"}, "ffffffff03000000776879"));
  rows.push_back(row(0x309, LayerFinished{kStats},
                     "010000000000000002000000000000000300000000000000040000000000000005000000000000000600000000000000"
                     "0700000000000000080000000000000009000000000000000a000000000000000b00000000000000"));
  rows.push_back(row(0x30a, OutputSuspend{}, ""));
}

std::vector<Row> release_0_1() {
  std::vector<Row> rows;
  add_client_rows(rows);
  add_client_event_rows(rows);
  add_client_ring_rows(rows);
  add_client_keep_rows(rows);
  add_client_integrity_rows(rows);
  add_client_log_rows(rows);
  add_peer_rows(rows);
  add_keep_and_log_rows(rows);
  add_control_rows(rows);
  return rows;
}

TEST(MessageGolden, EveryTypeOfTheWireHasARow) {
  const auto named = named_types(std::make_index_sequence<kNumbers>());
  ASSERT_TRUE(named.contains(static_cast<std::uint32_t>(MessageType::kOutputSuspend))) << "names are not found";
  std::set<std::uint32_t> rows;
  for (const Row& one : release_0_1()) EXPECT_TRUE(rows.insert(one.number).second) << std::hex << one.number;
  for (const std::uint32_t type : named) EXPECT_TRUE(rows.contains(type)) << "no row for type 0x" << std::hex << type;
  EXPECT_EQ(rows.size(), named.size());
}

TEST(MessageGolden, Release_0_1_Numbers) {
  for (const Row& one : release_0_1()) EXPECT_EQ(one.type, one.number) << std::hex << one.number;
}

TEST(MessageGolden, Release_0_1_Payloads) {
  for (const Row& one : release_0_1())
    EXPECT_EQ(to_hex(one.encoded), one.hex) << "message 0x" << std::hex << one.number;
}

TEST(MessageGolden, Release_0_1_IsRead) {
  for (const Row& one : release_0_1()) {
    const auto again = one.again(one.encoded);
    ASSERT_TRUE(again) << std::hex << one.number << ": " << again.error().message;
    EXPECT_EQ(*again, one.encoded) << std::hex << one.number;
    for (std::size_t size = 0; size < one.encoded.size(); ++size)
      EXPECT_FALSE(one.again(ByteView(one.encoded).first(size))) << std::hex << one.number << " cut to " << size;
    Bytes longer = one.encoded;
    longer.push_back({});
    EXPECT_FALSE(one.again(longer)) << std::hex << one.number;
  }
}

}  // namespace
}  // namespace rk::wire
