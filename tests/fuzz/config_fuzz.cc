// SPDX-License-Identifier: Apache-2.0
// Any text as a configuration: a configuration, or an error that names the file.
#include "base/check.h"
#include "daemon/config.h"
#include "tests/fuzz/fuzz_target.h"

namespace rk::fuzz {

void run(ByteView input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto parsed = daemon::parse_config(text, "fuzz.toml", {});
  if (!parsed) {
    RK_CHECK(parsed.error().message.rfind("fuzz.toml:", 0) == 0);
    return;
  }
  (void)daemon::complete(*parsed, 1000);
}

}  // namespace rk::fuzz
