// SPDX-License-Identifier: Apache-2.0
#include "veloc/places.h"

#include <algorithm>
#include <cstring>

namespace rk::veloc {
namespace {

Result<Header> header_of(const Reader& reader) {
  RK_TRY(const ByteView header, section_of(reader, kHeaderSection));
  RK_TRY(const ByteView data, section_of(reader, kDataSection));
  return decode(header, data.size());
}

bool gone(const Error& error) {
  return error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kLost ||
         error.code == ErrorCode::kVersionMismatch;
}

Header marker_after(const Header& header, std::uint64_t previous) {
  Header marker;
  marker.marker = true;
  marker.rank = header.rank;
  marker.ranks = header.ranks;
  marker.attempt = header.attempt;
  marker.previous = previous;
  marker.name = header.name;
  return marker;
}

Status write_marker(Server& server, const std::string& name, const Header& marker) {
  RK_TRY(Writer writer, server.begin(name, encode(marker).size(), 0));
  RK_TRY([[maybe_unused]] const auto number, write(server, name, std::move(writer), marker));
  return {};
}

}  // namespace

Result<std::uint64_t> write(Server& server, const std::string& name, Writer writer, const Header& header) {
  {
    RK_TRY(const auto place, section_of(writer, kHeaderSection));
    const Bytes bytes = encode(header);
    if (place.size() != bytes.size())
      return fail(ErrorCode::kInvalidArgument, "the header of a version changed its size while it was written");
    std::memcpy(place.data(), bytes.data(), bytes.size());
  }
  auto number = server.commit(std::move(writer));
  if (number || number.error().code != ErrorCode::kTimeout) return number;
  if (!server.renew()) return number;
  const auto reader = server.read(name, 0);
  if (!reader) return number;
  const auto found = header_of(*reader);
  if (!found || found->marker != header.marker || found->attempt != header.attempt) return number;
  return rk_reader_version(reader->get());
}

Status Places::take(const Reader& reader, Place& place, std::uint64_t& previous) const {
  RK_TRY(Header header, header_of(reader));
  if (header.marker) {
    place.marked = true;
    previous = header.previous;
    return {};
  }
  place.number = rk_reader_version(reader.get());
  place.version = std::move(header);
  return {};
}

Status Places::look(unsigned index, Place& place) {
  const auto newest = server_.read(name(index), 0);
  if (!newest) return tl::unexpected(newest.error());
  place.exists = true;
  std::uint64_t previous = 0;
  RK_TRY_VOID(take(*newest, place, previous));
  if (previous == 0) return {};
  // A version is marked before the next one is written over it: until that is done, it is still there.
  const auto marked = server_.read(name(index), previous);
  if (!marked && marked.error().code == ErrorCode::kNotFound) return {};
  if (!marked) return tl::unexpected(marked.error());
  std::uint64_t no_further = 0;
  return take(*marked, place, no_further);
}

Status Places::scan() {
  places_.clear();
  damages_.clear();
  std::vector<Place> found;
  for (unsigned missing = 0; missing < kGap && found.size() < kMaxPlaces;) {
    Place place;
    const auto index = static_cast<unsigned>(found.size());
    Status looked = look(index, place);
    missing = !looked && looked.error().code == ErrorCode::kNotFound ? missing + 1 : 0;
    if (!looked && gone(looked.error())) {
      place = Place();
      place.exists = true;
      damages_.push_back(looked.error().message);
    } else if (!looked && missing == 0) {
      return looked;
    }
    found.push_back(std::move(place));
  }
  while (!found.empty() && !found.back().exists) found.pop_back();
  places_ = std::move(found);
  return {};
}

std::vector<Header> Places::versions() const {
  std::vector<Header> out;
  for (const Place& place : places_)
    if (place.version) out.push_back(*place.version);
  return out;
}

Result<Reader> Places::open(const Attempt& attempt) {
  for (unsigned i = 0; i < places_.size(); ++i) {
    if (!places_[i].version || places_[i].version->attempt != attempt) continue;
    return server_.read(name(i), places_[i].number);
  }
  return fail(ErrorCode::kNotFound, "this rank does not have the version");
}

// The place whose version is oldest; of those without a version the first. One more than there are: none is left.
unsigned Places::choose(const std::optional<Attempt>& keep) const {
  auto best = static_cast<unsigned>(places_.size());
  std::uint64_t oldest = UINT64_MAX;
  for (unsigned i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    if (place.elsewhere || (keep && place.version && place.version->attempt == *keep)) continue;
    const std::uint64_t age = place.version ? place.version->attempt.sequence : 0;
    if (age >= oldest) continue;
    best = i;
    oldest = age;
  }
  return best;
}

Result<Places::Draft> Places::draft(const std::optional<Attempt>& keep, std::size_t header_bytes,
                                    std::uint64_t data_bytes) {
  for (;;) {
    const unsigned chosen = choose(keep);
    // Beyond the gap, a later life would not find it.
    std::size_t end = places_.size();
    while (end > 0 && !places_[end - 1].exists) --end;
    if (chosen >= kMaxPlaces || chosen >= end + kGap)
      return fail(ErrorCode::kUnavailable,
                  "the checkpoint has had places at too many other servers of the ring: remove it by VELOC_Cleanup, or "
                  "give it another name");
    if (chosen == places_.size()) places_.emplace_back();
    auto writer = server_.begin(name(chosen), header_bytes, data_bytes);
    if (writer) return Draft{chosen, *std::move(writer), data_bytes};
    if (writer.error().code != ErrorCode::kExists) return tl::unexpected(writer.error());
    places_[chosen].elsewhere = true;
  }
}

Status Places::commit(Draft draft, const Header& header) {
  Place& place = places_.at(draft.place);
  if (place.exists && !place.marked) {
    const std::uint64_t previous = place.version ? place.number : 0;
    RK_TRY_VOID(write_marker(server_, name(draft.place), marker_after(header, previous)));
    place.marked = true;
  }
  // Whatever becomes of the commit, it may be visible: another one is not written over it without a marker.
  const auto number = write(server_, name(draft.place), std::move(draft.writer), header);
  place.exists = true;
  if (!number && number.error().code != ErrorCode::kTimeout) return tl::unexpected(number.error());
  place.marked = false;
  place.version.reset();
  if (!number) return tl::unexpected(number.error());
  place.number = *number;
  place.version = header;
  return {};
}

std::uint64_t Places::left_elsewhere(const Attempt& newest, const std::optional<Attempt>& before) const {
  std::uint64_t left = 0;
  for (unsigned i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    if (!place.elsewhere || !place.version) continue;
    if (place.version->attempt != newest && place.version->attempt != before) left |= std::uint64_t{1} << i;
  }
  return left;
}

void Places::forget(std::uint64_t places) {
  for (unsigned i = 0; i < places_.size(); ++i)
    if ((places >> i & 1U) != 0) places_[i].version.reset();
}

Status Places::empty(Server& server, const std::string& prefix, unsigned place, const Header& marker) {
  const std::string name = prefix + "/" + std::to_string(place);
  for (int kept = 0; kept < 2; ++kept)
    if (const Status done = write_marker(server, name, marker); !done)
      return done.error().code == ErrorCode::kExists ? Status() : done;
  return {};
}

Result<std::uint64_t> Places::remove() {
  std::uint64_t left = 0;
  for (unsigned i = 0; i < places_.size(); ++i) {
    const Status removed = server_.remove(name(i));
    if (removed || removed.error().code == ErrorCode::kNotFound) {
      places_[i] = Place();
    } else if (removed.error().code == ErrorCode::kExists) {
      places_[i].elsewhere = true;
      left |= std::uint64_t{1} << i;
    } else {
      return tl::unexpected(removed.error());
    }
  }
  return left;
}

}  // namespace rk::veloc
