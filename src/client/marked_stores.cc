// SPDX-License-Identifier: Apache-2.0
// Empty in the plain library.
#include "client/marked_stores.h"

#ifdef RINGKEEP_MARKED_STORES

#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <system_error>

namespace rk::client {
namespace {

constexpr char kEnvDieAt[] = "RINGKEEP_DIE_AT";
constexpr int kWrongUse = 64;

struct Death {
  std::optional<Mark> mark;  // none: whichever
  std::uint32_t time = 0;    // 0: never
};

bool parse(std::string_view text, std::uint32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number > 0;
}

Death read_death() {
  const char* const given = std::getenv(kEnvDieAt);  // NOLINT(concurrency-mt-unsafe): nothing sets it
  Death death;
  if (given == nullptr || *given == '\0' || parse(given, death.time)) return death;
  const std::string_view text(given);
  const std::size_t colon = text.find(':');
  death.time = 1;
  for (std::size_t i = 0; i < kMarkNames.size(); ++i)
    if (text.substr(0, colon) == kMarkNames[i]) death.mark = static_cast<Mark>(i);
  if (death.mark && (colon == std::string_view::npos || parse(text.substr(colon + 1), death.time))) return death;
  std::fprintf(stderr,
               "%s is '%s', and must be a number above 0, or MARK or MARK:NUMBER with a mark of "
               "src/client/marked_stores.h\n",
               kEnvDieAt, given);
  ::_exit(kWrongUse);
}

MarkCounts g_own;
std::atomic<MarkCounts*> g_counts = &g_own;

}  // namespace

void count_marks_in(MarkCounts& counts) { g_counts = &counts; }

void pass(Mark mark) {
  static const Death death = read_death();
  MarkCounts& counts = *g_counts.load(std::memory_order_relaxed);
  const auto number = static_cast<std::uint32_t>(mark);
  counts.last.store(number + 1, std::memory_order_relaxed);
  const std::uint32_t all = counts.all.fetch_add(1, std::memory_order_relaxed) + 1;
  const std::uint32_t here = counts.of[number].fetch_add(1, std::memory_order_relaxed) + 1;
  if (death.time != 0 && (death.mark ? *death.mark == mark && here == death.time : all == death.time)) ::raise(SIGKILL);
}

}  // namespace rk::client

#endif
