// SPDX-License-Identifier: Apache-2.0
#include "daemon/logger.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace rk::daemon::logger {
namespace {

// Until start() is called there is no log.
std::shared_ptr<spdlog::logger>& instance() {
  static std::shared_ptr<spdlog::logger> logger;
  return logger;
}

void write(spdlog::level::level_enum level, const std::string& text) {
  if (instance()) instance()->log(level, text);
}

}  // namespace

void start(std::string_view level, const std::string& name) {
  instance() = std::make_shared<spdlog::logger>(name, std::make_shared<spdlog::sinks::stderr_sink_st>());
  instance()->set_pattern("%Y-%m-%d %H:%M:%S.%e %n %l: %v");
  instance()->set_level(spdlog::level::from_str(std::string(level)));
  instance()->flush_on(spdlog::level::debug);
}

void debug(const std::string& text) { write(spdlog::level::debug, text); }
void info(const std::string& text) { write(spdlog::level::info, text); }
void warn(const std::string& text) { write(spdlog::level::warn, text); }
void error(const std::string& text) { write(spdlog::level::err, text); }

}  // namespace rk::daemon::logger
