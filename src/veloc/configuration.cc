// SPDX-License-Identifier: Apache-2.0
#include "veloc/configuration.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>

#include "base/bytes.h"
#include "base/checksum.h"

namespace rk::veloc {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20U;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// A comment begins the line or follows a blank: paths may have these characters.
std::string_view without_comment(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i)
    if ((line[i] == '#' || line[i] == ';') && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t'))
      return line.substr(0, i);
  return line;
}

Status set(Configuration& out, std::string_view key, std::string_view value, const std::string& where) {
  if (key == "scratch") out.scratch = value;
  if (key == "persistent") out.persistent = value;
  if (key == "mode") {
    if (value != "sync" && value != "async")
      return fail(ErrorCode::kInvalidArgument,
                  where + ": mode is '" + std::string(value) + "': it can be sync or async");
    out.async = value == "async";
  }
  if (key == "max_versions") {
    int number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || number < 0)
      return fail(ErrorCode::kInvalidArgument,
                  where + ": max_versions is '" + std::string(value) + "': give a number, 0 or more");
  }
  return {};
}

}  // namespace

std::uint64_t Configuration::directory_sum() const {
  const std::string& directory = persistent.empty() ? scratch : persistent;
  return directory.empty() ? 0 : checksum(as_bytes(directory));
}

Result<Configuration> parse_configuration(std::string_view text, const std::string& place) {
  Configuration out;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    line = trimmed(without_comment(line));
    if (line.empty() || (line.front() == '[' && line.back() == ']')) continue;
    const std::string where = place + ":" + std::to_string(number);
    const std::size_t equals = line.find('=');
    const std::string_view key = trimmed(line.substr(0, equals));
    if (equals == std::string_view::npos || key.empty())
      return fail(ErrorCode::kInvalidArgument, where + ": '" + std::string(line) + "' is not 'key = value'");
    RK_TRY_VOID(set(out, key, trimmed(line.substr(equals + 1)), where));
  }
  return out;
}

Result<Configuration> read_configuration(const char* path) {
  if (path == nullptr) return Configuration{};
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path, "re"), &std::fclose);
  if (!file) return fail_errno("read the configuration " + std::string(path), errno);
  std::string text;
  char part[4096];
  for (std::size_t got = 0; (got = std::fread(part, 1, sizeof part, file.get())) > 0;) {
    text.append(part, got);
    if (text.size() > kMaxBytes)
      return fail(ErrorCode::kInvalidArgument, std::string(path) + " is too large to be a configuration");
  }
  if (std::ferror(file.get()) != 0) return fail_errno("read the configuration " + std::string(path), errno);
  return parse_configuration(text, path);
}

}  // namespace rk::veloc
