// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdlib>

namespace rk::cli {

bool colours_on(FILE* stream) { return ::isatty(::fileno(stream)) == 1 && std::getenv("NO_COLOR") == nullptr; }

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

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace rk::cli
