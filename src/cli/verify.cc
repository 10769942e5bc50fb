// SPDX-License-Identifier: Apache-2.0
#include "cli/verify.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "cli/checkpoints.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "client/connection.h"

namespace rk::cli {
namespace {

// For one checkpoint: all its copies are summed, and what is damaged is fetched from another server.
constexpr std::uint32_t kTimeoutMs = 600'000;
constexpr std::uint32_t kAnswerSlackMs = 5000;

// One line that is written over, on a terminal only.
class Progress {
 public:
  explicit Progress(std::size_t all) : all_(all), shown_(all > 1 && ::isatty(STDERR_FILENO) == 1) {}
  ~Progress() {
    if (shown_) std::fprintf(stderr, "\r\x1b[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void next(const VerifiedCheckpoint& done) {
    ++done_;
    for (const wire::VerifiedVersion& version : done.versions) bytes_ += version.bytes * version.copies.size();
    if (shown_)
      std::fprintf(stderr, "\r\x1b[K%zu of %zu checkpoints, %s summed", done_, all_, mebibytes(bytes_).c_str());
  }

 private:
  std::size_t all_;
  std::size_t done_ = 0;
  std::uint64_t bytes_ = 0;
  bool shown_;
};

Result<VerifiedCheckpoint> verify(client::Connection& connection, const std::string& name, Version version) {
  auto answer = connection.call<wire::CheckpointVerified>(wire::CheckpointVerify{name, version, kTimeoutMs},
                                                          {{}, nullptr, kTimeoutMs + kAnswerSlackMs});
  if (!answer) return tl::unexpected(answer.error());
  return VerifiedCheckpoint{name, false, std::move(answer->versions), {}};
}

// One that was removed meanwhile is left out. What fails for one does not hide how the others are.
Result<std::vector<VerifiedCheckpoint>> verify_all(client::Connection& connection) {
  RK_TRY(const CheckpointTable table, fetch_table(connection, ""));
  std::vector<VerifiedCheckpoint> out;
  Progress progress(table.entries.size());
  for (const wire::CheckpointEntry& entry : table.entries) {
    auto one = verify(connection, entry.name, {});
    if (!one && connection.broken()) return tl::unexpected(one.error());
    const bool gone = !one && one.error().code == ErrorCode::kNotFound;
    if (gone && !entry.lost) continue;
    if (!one) one = VerifiedCheckpoint{entry.name, false, {}, gone ? "" : one.error().message};
    one->lost = entry.lost;
    progress.next(*one);
    out.push_back(*std::move(one));
  }
  return out;
}

Result<std::vector<VerifiedCheckpoint>> verify(client::Connection& connection, const std::string& what) {
  if (what.empty()) return verify_all(connection);
  RK_TRY(const NamedVersion named, parse_named_version(what));
  std::vector<VerifiedCheckpoint> out;
  RK_TRY(VerifiedCheckpoint one, verify(connection, named.name, named.version));
  out.push_back(std::move(one));
  return out;
}

bool unwell(const wire::VerifiedCopy& copy) {
  return copy.state != wire::CopyState::kGood && copy.state != wire::CopyState::kRepaired;
}

std::string copies_text(const wire::VerifiedVersion& version, bool colours) {
  std::string out;
  for (const wire::VerifiedCopy& copy : version.copies) {
    const char* code = copy.state == wire::CopyState::kGood ? "32" : unwell(copy) ? "31" : "33";
    out += (out.empty() ? "" : ", ") + ("server " + std::to_string(copy.server.value)) + " " +
           coloured(state_name(copy.state), code, colours);
  }
  if (has_good_copy(version)) return out;
  return out + (out.empty() ? "" : "; ") +
         coloured("LOST: no good copy is left, read another version or commit a new one", "31", colours);
}

}  // namespace

bool has_good_copy(const wire::VerifiedVersion& version) {
  return !std::all_of(version.copies.begin(), version.copies.end(), unwell);
}

const char* state_name(wire::CopyState state) {
  switch (state) {
    case wire::CopyState::kGood:
      return "good";
    case wire::CopyState::kRepaired:
      return "repaired";
    case wire::CopyState::kDamaged:
      return "damaged";
    case wire::CopyState::kAbsent:
      return "absent";
    case wire::CopyState::kUnreadable:
      return "unreadable";
  }
  return "unknown";
}

std::string verified_text(const std::vector<VerifiedCheckpoint>& all, bool colours) {
  if (all.empty()) return "no checkpoints\n";
  std::string out;
  std::uint64_t copies = 0, repaired = 0, bad = 0;
  for (const VerifiedCheckpoint& checkpoint : all) {
    if (!checkpoint.error.empty()) out += checkpoint.name + ": " + coloured(checkpoint.error, "31", colours) + "\n";
    if (checkpoint.lost)
      out += checkpoint.name + ": " + coloured("LOST: newer versions are gone", "31", colours) + "\n";
    for (const wire::VerifiedVersion& version : checkpoint.versions) {
      out +=
          checkpoint.name + "@" + std::to_string(version.version.value) + ": " + copies_text(version, colours) + "\n";
      for (const wire::VerifiedCopy& copy : version.copies) {
        ++copies;
        repaired += copy.state == wire::CopyState::kRepaired ? 1U : 0U;
        bad += unwell(copy) ? 1U : 0U;
      }
    }
  }
  return out + std::to_string(copies) + (copies == 1 ? " copy" : " copies") + " summed, " + std::to_string(repaired) +
         " repaired, " + std::to_string(bad) + " not good\n";
}

int verified_status(const std::vector<VerifiedCheckpoint>& all) {
  int status = kSuccess;
  for (const VerifiedCheckpoint& checkpoint : all) {
    if (checkpoint.lost || !checkpoint.error.empty()) return kUnavailable;
    for (const wire::VerifiedVersion& version : checkpoint.versions) {
      if (!has_good_copy(version)) return kUnavailable;
      if (std::any_of(version.copies.begin(), version.copies.end(), unwell)) status = kDamaged;
    }
  }
  return status;
}

int verify_checkpoints(const VerifyOptions& options) {
  const auto reached = reach(options.asked);
  if (!reached) return not_reached(reached.error());
  say_who_answered(reached->instead_of);
  const auto all = verify(*reached->connection, options.what);
  if (!all) return complain(all.error());
  print(options.json ? to_json(*all) : verified_text(*all, colours_on(stdout)));
  return verified_status(*all);
}

}  // namespace rk::cli
