// SPDX-License-Identifier: Apache-2.0
#include "python/session.h"

#include <unistd.h>

namespace rk::python {
namespace {

rk::Failure invalid(const char* words) { return {RK_ERR_INVALID_ARGUMENT, words}; }

// C would take the part before a zero byte for the whole name.
const std::string& whole(const std::string& name) {
  if (name.find('\0') != std::string::npos) throw invalid("a name has a zero byte in it: leave it out");
  return name;
}

std::vector<Place> places_of(rk::Writer& writer, const std::vector<rk::Section>& sections) {
  std::vector<Place> places;
  places.reserve(sections.size());
  for (const rk::Section& section : sections)
    places.push_back({section.name, writer.section(section.name).data(), section.size});
  return places;
}

std::vector<Place> places_of(const rk::Reader& reader) {
  std::vector<Place> places;
  for (rk::Section& section : reader.sections()) {
    // Python is told that it is read-only, and so is its mapping.
    auto* data = const_cast<std::byte*>(reader.section(section.name).data());
    places.push_back({std::move(section.name), data, section.size});
  }
  return places;
}

// Ends a handle whose end the server is told of. A fork has a copy of the handle and of the socket, and must not tell
// the server anything: there the handle stays, and its memory goes with the process.
template <class Handle>
void end(Session& session, std::optional<Handle>& handle) {
  if (!handle) return;
  if (session.of_this_process())
    session.call([&](rk::Client&) { handle.reset(); });
  else
    new Handle(*std::exchange(handle, std::nullopt));  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): see above
}

}  // namespace

Session::Session(const std::string& socket_path, std::uint32_t timeout_ms, bool fenced)
    : client_(whole(socket_path), timeout_ms, fenced), process_(::getpid()) {}

void Session::require_usable() const {
  if (closed_) throw invalid("the client is closed: open another");
  if (!of_this_process())
    throw invalid("the client belongs to the process that this one is a fork of: open another here");
}

bool Session::of_this_process() const { return ::getpid() == process_; }

const Place& Memory::place(const std::string& section) const {
  for (const Place& place : places_)
    if (place.name == section) return place;
  throw rk::Failure(RK_ERR_NOT_FOUND, ("the checkpoint has no section \"" + section + "\"").c_str());
}

std::shared_ptr<Writing> Writing::begin(const std::shared_ptr<Session>& session, const std::string& name,
                                        const std::vector<rk::Section>& sections) {
  for (const rk::Section& section : sections) whole(section.name);
  return session->call([&](rk::Client& client) {
    rk::Writer writer = client.begin(whole(name), sections);
    std::vector<Place> places = places_of(writer, sections);
    return std::make_shared<Writing>(session, std::move(places), std::move(writer));
  });
}

std::uint64_t Writing::commit(rk_level level) {
  return session().call([&](rk::Client&) {
    rk::Writer writer = *std::exchange(writer_, std::nullopt);
    return writer.commit(level);
  });
}

void Writing::commit_async(rk_level level, std::uint64_t tag) {
  session().call([&](rk::Client&) {
    writer_->commit_async(tag, {.level = level});
    writer_.reset();
  });
}

// A thread that Python ends at its own end may leave a checkpoint that nothing refers to.
Writing::~Writing() { end(session(), writer_); }

void Writing::release() { end(session(), writer_); }

std::shared_ptr<Reading> Reading::open(const std::shared_ptr<Session>& session, const std::string& name,
                                       std::uint64_t version, bool verified) {
  return session->call([&](rk::Client& client) {
    rk::Reader reader = verified ? client.read(whole(name), version) : client.map(whole(name), version);
    std::vector<Place> places = places_of(reader);
    return std::make_shared<Reading>(session, std::move(places), std::move(reader));
  });
}

void Reading::verify() {
  session().call([&](rk::Client&) {
    if (!reader_) throw invalid("the reader was closed: read again");
    reader_->verify();
  });
}

Reading::~Reading() { end(session(), reader_); }

void Reading::release() { end(session(), reader_); }

void remove(Session& session, const std::string& name) {
  session.call([&](rk::Client& client) { client.remove(whole(name)); });
}

void put_async(Session& session, const std::string& name, std::span<const std::byte> data, std::uint64_t tag,
               const rk::AsyncOptions& options) {
  session.call([&](rk::Client& client) { client.put_async(whole(name), data, tag, options); });
}

std::vector<rk::Outcome> outcomes(Session& session, std::uint32_t timeout_ms) {
  return session.call([&](rk::Client& client) { return client.outcomes(timeout_ms); });
}

int descriptor(Session& session) {
  return session.call([](rk::Client& client) { return client.descriptor(); });
}

}  // namespace rk::python
