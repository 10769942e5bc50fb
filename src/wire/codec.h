// SPDX-License-Identifier: Apache-2.0
// Messages are plain structs that list their fields once:
//
//   struct StatusQuery {
//     static constexpr MessageType kType = MessageType::kStatusQuery;
//     std::string text;
//     std::vector<Rank> ranks;
//     RK_FIELDS(text, ranks)
//   };
//
// encode() and decode() follow that list. Integers and strong ids are little-endian at their own width, bool and enums
// with an 8-bit base one byte, strings and Bytes a u32 length and the bytes, vectors a u32 count and the items. A
// ByteView is as Bytes on the wire, and seen in place: it lives no longer than what was encoded or the frame decoded.
// A decoder refuses anything above the limits here, and bytes left over, so a message can not be misread as another;
// bytes left over by a sender of a higher minor version are fields that it appended, and are ignored (frame.h).
//
// Fields that minor version N appends stand at the end of the message, never inside a struct that other messages or
// vectors contain, behind the mark kSince<N>: RK_FIELDS(text, ranks, kSince<1>, color). From a sender of a lower minor
// version they are absent and keep their defaults.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "wire/frame.h"
#include "wire/node_list.h"

// Declares the field list of a message and its equality.
#define RK_FIELDS(...)           \
  template <class Visitor>       \
  void visit(Visitor& v) {       \
    v(__VA_ARGS__);              \
  }                              \
  template <class Visitor>       \
  void visit(Visitor& v) const { \
    v(__VA_ARGS__);              \
  }

// For a message without fields.
#define RK_NO_FIELDS()     \
  template <class Visitor> \
  void visit(Visitor&) {}  \
  template <class Visitor> \
  void visit(Visitor&) const {}

namespace rk::wire {

inline constexpr std::size_t kMaxText = 4096;                // names, paths, messages to people
inline constexpr std::size_t kMaxItems = 65536;              // vector elements
inline constexpr std::size_t kMaxBlob = kMaxPayload - 4096;  // one Bytes field

// A mark in a field list: the fields behind it exist since this minor version.
struct Since {
  std::uint16_t minor;
};
template <std::uint16_t Minor>
inline constexpr Since kSince{Minor};

namespace codec_detail {

template <class T>
struct IsStrongId : std::false_type {};
template <class Tag, class Value>
struct IsStrongId<StrongId<Tag, Value>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsNodeList : std::false_type {};
template <class T>
struct IsNodeList<NodeList<T>> : std::true_type {};

}  // namespace codec_detail

class Encoder {
 public:
  explicit Encoder(Bytes& out) : writer_(out) {}
  template <class... Ts>
  void operator()(const Ts&... fields) {
    (field(fields), ...);
  }

 private:
  template <class T>
  void field(const T& value) {
    using namespace codec_detail;
    if constexpr (std::is_same_v<T, Since>)
      return;
    else if constexpr (std::is_same_v<T, bool>)
      writer_.integer(static_cast<std::uint8_t>(value));
    else if constexpr (std::is_enum_v<T>)
      writer_.integer(static_cast<std::underlying_type_t<T>>(value));
    else if constexpr (std::is_integral_v<T>)
      writer_.integer(value);
    else if constexpr (IsStrongId<T>::value)
      writer_.integer(value.value);
    else if constexpr (std::is_same_v<T, std::string>)
      writer_.text(value);
    else if constexpr (std::is_same_v<T, Bytes> || std::is_same_v<T, ByteView>)
      writer_.blob(value);
    else if constexpr (IsVector<T>::value) {
      writer_.integer(static_cast<std::uint32_t>(value.size()));
      for (const auto& item : value) field(item);
    } else if constexpr (IsNodeList<T>::value)
      field(value.entries());
    else
      value.visit(*this);
  }
  ByteWriter writer_;
};

class Decoder {
 public:
  // `minor`: of the release that encoded it.
  explicit Decoder(ByteReader& in, std::uint16_t minor = kFormatMinor) : reader_(in), minor_(minor) {}
  template <class... Ts>
  void operator()(Ts&... fields) {
    ((absent_ ? void() : field(fields)), ...);
  }

 private:
  template <class T>
  void field(T& value) {
    using namespace codec_detail;
    if constexpr (std::is_same_v<T, const Since>) {
      absent_ = value.minor > minor_;
    } else if constexpr (std::is_same_v<T, bool>) {
      const auto byte = reader_.integer<std::uint8_t>();
      if (byte > 1) reader_.mark_failed();
      value = byte == 1;
    } else if constexpr (std::is_enum_v<T>)
      value = static_cast<T>(reader_.integer<std::underlying_type_t<T>>());
    else if constexpr (std::is_integral_v<T>)
      value = reader_.integer<T>();
    else if constexpr (IsStrongId<T>::value)
      value = T(reader_.integer<typename T::value_type>());
    else if constexpr (std::is_same_v<T, std::string>)
      value = reader_.text(kMaxText);
    else if constexpr (std::is_same_v<T, ByteView>)
      value = reader_.blob(kMaxBlob);
    else if constexpr (std::is_same_v<T, Bytes>) {
      const ByteView bytes = reader_.blob(kMaxBlob);
      value.assign(bytes.begin(), bytes.end());
    } else if constexpr (IsVector<T>::value) {
      const std::size_t count = reader_.integer<std::uint32_t>();
      // Every item takes at least one byte: a count above what is left is a lie, and must not allocate.
      if (count > kMaxItems || count > reader_.remaining()) return reader_.mark_failed();
      value.clear();
      for (std::size_t i = 0; i < count && !reader_.failed(); ++i) {
        typename T::value_type item{};
        field(item);
        value.push_back(std::move(item));
      }
    } else if constexpr (IsNodeList<T>::value) {
      typename T::Entries entries;
      field(entries);
      value = T(std::move(entries));
    } else
      value.visit(*this);
  }
  ByteReader& reader_;
  std::uint16_t minor_;
  bool absent_ = false;
};

template <class Message>
Bytes encode(const Message& message) {
  Bytes out;
  Encoder encoder(out);
  message.visit(encoder);
  return out;
}

// What bytes behind the last known field are, by the minor versions of who wrote and who reads.
constexpr ByteReader::Rest rest_from(std::uint16_t writer, std::uint16_t reader = kFormatMinor) {
  return writer > reader ? ByteReader::Rest::kIgnored : ByteReader::Rest::kRefused;
}

// `sender` and `own` are minor versions.
template <class Message>
Result<Message> decode(ByteView payload, std::string_view what, std::uint16_t sender = kFormatMinor,
                       std::uint16_t own = kFormatMinor) {
  Message message{};
  ByteReader reader(payload);
  Decoder decoder(reader, sender);
  message.visit(decoder);
  RK_TRY_VOID(reader.finish(what, rest_from(sender, own)));
  return message;
}

// A whole frame that carries the message, ready for the wire: for large messages, whose bytes are copied once. The
// payload must be within kMaxPayload (checked).
template <class Message>
Packet to_packet(const Message& message, std::uint64_t request = 0, Incarnation sender = {}) {
  Packet packet{request, Bytes(kHeaderSize)};
  Encoder encoder(packet.bytes);
  message.visit(encoder);
  write_header(packet.bytes, {Message::kType, request, sender});
  return packet;
}

// A frame that carries the message.
template <class Message>
Frame to_frame(const Message& message, std::uint64_t request = 0, Incarnation sender = {}) {
  return Frame{Message::kType, request, sender, 0, encode(message), kFormatMinor};
}

// The message of a frame; kCorrupt if the frame is of another type or malformed.
template <class Message>
Result<Message> from_frame(const Frame& frame) {
  if (frame.type != Message::kType)
    return fail(ErrorCode::kCorrupt, "message type " + std::to_string(static_cast<std::uint32_t>(frame.type)) +
                                         " where type " + std::to_string(static_cast<std::uint32_t>(Message::kType)) +
                                         " was expected");
  return decode<Message>(frame.payload, "message " + std::to_string(static_cast<std::uint32_t>(frame.type)),
                         frame.minor);
}

// Answer to any request that failed.
struct Refusal {
  static constexpr MessageType kType = MessageType::kRefusal;
  std::int32_t code = 0;  // ErrorCode
  std::string message;
  RK_FIELDS(code, message)
  bool operator==(const Refusal&) const = default;
};

struct VersionRange {
  std::uint16_t lowest = kLowestMinor;
  std::uint16_t highest = kFormatMinor;
  RK_FIELDS(lowest, highest)
  bool operator==(const VersionRange&) const = default;
};

// Highest minor version that both sides speak; kVersionMismatch, naming both ranges, if there is none.
Result<std::uint16_t> agree(const VersionRange& ours, const VersionRange& theirs);

}  // namespace rk::wire
