// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cinttypes>
#include <clocale>
#include <cstdlib>
#include <ctime>
#include <string_view>

namespace rk::cli {
namespace {

using BreakDown = std::tm* (*)(const std::time_t*, std::tm*);

std::string broken_down(BreakDown how, const char* format, std::uint64_t time_us) {
  const auto seconds = static_cast<std::time_t>(time_us / 1'000'000);
  std::tm parts{};
  how(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, format, &parts)};
}

std::string digits(std::uint64_t value, int count) {
  char text[21];
  std::snprintf(text, sizeof text, "%0*" PRIu64, count, value);
  return text;
}

}  // namespace

bool colours_on(FILE* stream) { return ::isatty(::fileno(stream)) == 1 && std::getenv("NO_COLOR") == nullptr; }

bool speaks_utf8() {
  const locale_t locale = ::newlocale(LC_CTYPE_MASK, "", nullptr);
  if (locale == nullptr) return false;
  const bool utf8 = std::string_view(::nl_langinfo_l(CODESET, locale)) == "UTF-8";
  ::freelocale(locale);
  return utf8;
}

std::size_t columns_of(FILE* stream) {
  constexpr std::size_t kUsual = 80;
  winsize size{};
  if (::ioctl(::fileno(stream), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

std::string coloured(const std::string& text, const char* code, bool colours) {
  return colours ? "\x1b[" + std::string(code) + "m" + text + "\x1b[0m" : text;
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string mebibytes(std::uint64_t bytes) {
  constexpr std::uint64_t kMebi = std::uint64_t{1} << 20U;
  return std::to_string((bytes + kMebi - 1) / kMebi) + " MiB";
}

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, value);
  return text;
}

std::string utc(std::uint64_t time_us) {
  return broken_down(::gmtime_r, "%Y-%m-%dT%H:%M:%S.", time_us) + digits(time_us % 1'000'000, 6) + "Z";
}

std::string local_time(std::uint64_t time_us) {
  return broken_down(::localtime_r, "%Y-%m-%d %H:%M:%S.", time_us) + digits(time_us / 1000 % 1000, 3);
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace rk::cli
