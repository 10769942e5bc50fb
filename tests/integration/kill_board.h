// SPDX-License-Identifier: Apache-2.0
// What a client that is going to be killed (kill_writer.cc) writes down about itself, in memory of the test's own that
// outlives it; and what it commits, which whoever reads it later makes again from seed, name and attempt.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "client/marked_stores.h"

namespace rk::testing {

#define RK_KILL_WAYS(X)                                                   \
  X(put)                                                                  \
  X(put_large) /* beyond what travels in a message */                     \
  X(write)     /* in place, committed */                                  \
  X(sections)  /* the same, several */                                    \
  X(put_async)                                                            \
  X(put_large_async)                                                      \
  X(write_async)                                                          \
  X(abandon)                                                              \
  X(read)      /* the newest one, held while another is put */            \
  X(job)       /* a process of a job: protected memory, group versions */ \
  X(read_only) /* all names, at any server */

enum class Way : std::uint8_t {
#define RK_KILL_WAY(name) name,
  RK_KILL_WAYS(RK_KILL_WAY)
#undef RK_KILL_WAY
};
inline constexpr std::array kWayNames = {
#define RK_KILL_WAY(name) #name,
    RK_KILL_WAYS(RK_KILL_WAY)
#undef RK_KILL_WAY
};

// How far a client has come. What comes behind `ended` is a job's.
// clang-format off
#define RK_KILL_PHASES(X) \
  X(starting) X(composing) X(putting) X(beginning) X(filling) X(committing) X(handing_over) X(awaiting) \
  X(abandoning) X(reading) X(closing_reader) X(ended) X(restarting) X(restoring) X(checkpointing)
// clang-format on

enum class Phase : std::uint32_t {
#define RK_KILL_PHASE(name) name,
  RK_KILL_PHASES(RK_KILL_PHASE)
#undef RK_KILL_PHASE
};
inline constexpr std::array kPhaseNames = {
#define RK_KILL_PHASE(name) #name,
    RK_KILL_PHASES(RK_KILL_PHASE)
#undef RK_KILL_PHASE
};

inline constexpr std::uint32_t kKillNames = 3;
inline constexpr std::uint32_t kJobName = kKillNames;  // its place among the names
inline constexpr std::uint64_t kRemembered = 1024;     // attempts of a name
inline constexpr std::uint32_t kReports = 4096;        // of one life

// An OK that the client was given, or a version that it was restarted from.
struct KillReport {
  std::uint32_t name;
  bool restored;
  std::uint64_t attempt;
  std::uint64_t version;
};

struct KillBoard {
  std::atomic<Phase> phase;
  // The newest attempt at a version of the name, written down before the library hears of it; and in which way.
  std::array<std::atomic<std::uint64_t>, kKillNames + 1> begun;
  std::array<std::array<std::atomic<Way>, kRemembered>, kKillNames + 1> ways;
  std::atomic<std::uint32_t> reported;
  std::array<KillReport, kReports> reports;
  std::array<char, 1024> words;  // why it gave up
  client::MarkCounts marks;
};

using KillSections = std::vector<std::pair<std::string, std::string>>;  // name, bytes

inline std::string kill_name(std::uint32_t name) { return "kills/" + std::to_string(name); }

inline std::string kill_bytes(Prng& prng, std::size_t size) {
  std::string out(size, '\0');
  std::size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    const std::uint64_t word = prng.next();
    out.replace(at, 8, reinterpret_cast<const char*>(&word), 8);
  }
  for (; at < size; ++at) out[at] = static_cast<char>(prng.next());
  return out;
}

// Of two attempts that may both be undecided no two give the same.
inline KillSections kill_content(std::uint64_t seed, std::uint32_t name, std::uint64_t attempt, Way way) {
  Prng prng(seed ^ (attempt * (kKillNames + 1) + name) * 0x2545f4914f6cdd1dULL);
  const auto one_of = [&](std::initializer_list<std::size_t> sizes) {
    return *(sizes.begin() + prng.below(sizes.size()));
  };
  const std::string own = "attempt." + std::to_string(attempt);
  switch (way) {
    case Way::put:
    case Way::put_async:
    case Way::read:
      if (attempt % 64 == 7) return {{"data", ""}};
      if (attempt % 16 == 4) return {{"data", std::string(1, static_cast<char>(attempt))}};
      return {{"data", kill_bytes(prng, one_of({1024, 1000, 8000, 65536}))}};
    case Way::put_large:
    case Way::put_large_async:
      return {{"data", kill_bytes(prng, one_of({65537, 200'000, 200'000, std::size_t{1} << 20U}))}};
    case Way::write:
    case Way::write_async:
    case Way::abandon:
      return {{own, kill_bytes(prng, one_of({0, 1, 1024, 65536, 65536, std::size_t{1} << 20U}))}};
    case Way::sections:
      return {{"grid", kill_bytes(prng, prng.below(200'000))},
              {"empty", ""},
              {own, kill_bytes(prng, 4097)},
              {"one", kill_bytes(prng, 1)}};
    case Way::job:
      return {{"body", kill_bytes(prng, 70'000)}};
    case Way::read_only:
      break;
  }
  return {};
}

}  // namespace rk::testing
