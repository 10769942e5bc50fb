// SPDX-License-Identifier: Apache-2.0
// Text for people on a terminal.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace rk::cli {

// A terminal, and nobody has set NO_COLOR.
bool colours_on(FILE* stream);
// The locale's characters are UTF-8.
bool speaks_utf8();
// Columns of the terminal; 80 for what is none.
std::size_t columns_of(FILE* stream);
// `code`: of an SGR sequence, "31" for red.
std::string coloured(const std::string& text, const char* code, bool colours);
std::string padded(std::string text, std::size_t width);
// What somebody else has named, for a terminal: control characters and bytes that are no UTF-8 as \\xNN, so that none
// of them acts on it.
std::string shown(std::string_view text);
std::string mebibytes(std::uint64_t bytes);
// 16 digits.
std::string hex(std::uint64_t value);
// ISO 8601, UTC, microseconds.
std::string utc(std::uint64_t time_us);
// For people, milliseconds.
std::string local_time(std::uint64_t time_us);
// On standard output.
void print(const std::string& text);

}  // namespace rk::cli
