// SPDX-License-Identifier: Apache-2.0
// The server's log: lines on standard error. spdlog stays in logger.cc.
#pragma once

#include <string>
#include <string_view>

namespace rk::daemon::logger {

// `level` as check_log_level() has it; `name` stands in every line ("ringkeepd 3").
void start(std::string_view level, const std::string& name);
void debug(const std::string& text);
void info(const std::string& text);
void warn(const std::string& text);
void error(const std::string& text);

}  // namespace rk::daemon::logger
