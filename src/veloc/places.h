// SPDX-License-Identifier: Apache-2.0
// Where the versions of one rank's checkpoint are in the keep: names PREFIX/0, PREFIX/1, ..., the places. A place has
// one version at a time, and is the newest of its name, so that it can be found whatever became of other places.
//
// Two places are written in turn. There are more when the rank has run at several servers: the keep lets a name be
// written at one server only, its home, until that server leaves the ring; everybody can read it. A rank that finds a
// place at home elsewhere passes it by and takes the next.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "veloc/header.h"
#include "veloc/server.h"

namespace rk::veloc {

// Places are looked for until so many in a row do not exist: one was claimed, and never written, if its server or the
// rank died then.
inline constexpr unsigned kGap = 4;
// So that a set of them is the bits of a number.
inline constexpr unsigned kMaxPlaces = 64;

class Places {
 public:
  // A version that is being written.
  struct Draft {
    unsigned place = 0;
    Writer writer;
    std::uint64_t data_bytes = 0;
  };

  Places(Server& server, std::string prefix) : server_(server), prefix_(std::move(prefix)) {}

  // Reads all places, every byte. A place that is damaged or lost is one of `damages`, and has no version. Another
  // failure is an error: what exists is unknown then.
  Status scan();
  // The versions found, or committed since.
  std::vector<Header> versions() const;
  const std::vector<std::string>& damages() const { return damages_; }
  // Checks the bytes again.
  Result<Reader> open(const Attempt& attempt);

  // Memory for a version, in a place that does not have `keep`.
  Result<Draft> draft(const std::optional<Attempt>& keep, std::size_t header_bytes, std::uint64_t data_bytes);
  // What the draft's place had before is let go of. The header is of draft's size.
  Status commit(Draft draft, const Header& header);

  // A bit for each place with a version that is neither of these and at home elsewhere: it can only be emptied there.
  std::uint64_t left_elsewhere(const Attempt& newest, const std::optional<Attempt>& before) const;
  void forget(std::uint64_t places);
  // Frees the memory of a place, if it is at home at `server`. Keeps the name: places are found in a row.
  static Status empty(Server& server, const std::string& prefix, unsigned place, const Header& marker);
  // Removes all that is at home here; a bit for each place with a version that is not.
  Result<std::uint64_t> remove();

 private:
  struct Place {
    bool exists = false;
    bool elsewhere = false;    // its home is another server
    std::uint64_t number = 0;  // of `version`, the keep's; 0: there is none
    bool marked = false;       // a marker follows it
    std::optional<Header> version = {};
  };
  std::string name(unsigned place) const { return prefix_ + "/" + std::to_string(place); }
  Status look(unsigned index, Place& place);
  Status take(const Reader& reader, Place& place, std::uint64_t& previous) const;
  unsigned choose(const std::optional<Attempt>& keep) const;

  Server& server_;
  std::string prefix_;
  std::vector<Place> places_;
  std::vector<std::string> damages_;
};

// Writes the header into the draft's memory and commits it. What kTimeout leaves open is asked for once.
Result<std::uint64_t> write(Server& server, const std::string& name, Writer writer, const Header& header);

}  // namespace rk::veloc
