// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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

// Bytes of the character that begins there; 0: it is not UTF-8, or a control character.
std::size_t printable_at(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  if (byte(0) < 0x80) return byte(0) >= 0x20 && byte(0) != 0x7f ? 1 : 0;
  const std::size_t size = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < size) return 0;
  std::uint32_t point = byte(0) & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
    point = (point << 6U) | (byte(i) & 0x3fU);
  }
  constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0xa0, 0x800, 0x10000};  // 0x80 to 0x9f are control characters
  const bool surrogate = point >= 0xd800 && point < 0xe000;
  const bool turns = (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);  // the direction
  return point < kLeast.at(size) || point > 0x10ffff || surrogate || turns ? 0 : size;
}

}  // namespace

std::string shown(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = printable_at(text);
    if (size > 0) {
      out += text.substr(0, size);
    } else {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(text.front()));
      out += escaped;
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

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
