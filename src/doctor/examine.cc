// SPDX-License-Identifier: Apache-2.0
#include "doctor/examine.h"

#include <sys/stat.h>
#include <unistd.h>

#include <iterator>

#include "daemon/config.h"
#include "daemon/private_directory.h"
#include "doctor/checks.h"
#include "doctor/gather.h"
#include "wire/locations.h"

namespace rk::doctor {
namespace {

bool exists(const std::string& path) {
  struct stat about {};
  return ::lstat(path.c_str(), &about) == 0;
}

// A server of the user's private ring, as far as there is one.
daemon::Config private_server() {
  daemon::Config config;
  config.node = NodeId(1);
  config.cluster = ClusterId(1);
  const std::string ring = wire::default_ring_directory(::geteuid());
  config.socket = wire::server_socket(ring, 1);
  if (!exists(ring)) return config;
  config.key_file = ring + "/cluster-key";
  config.state_directory = wire::server_directory(ring, 1);
  return config;
}

Result<daemon::Config> configured(const std::string& file) {
  RK_TRY(daemon::Config config, daemon::read_config(file, {}));
  return daemon::complete(std::move(config), ::geteuid());
}

void append(Findings& out, Findings more) {
  out.insert(out.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

Findings examine(const Request& request) {
  constexpr char kCheck[] = "configuration";
  Findings out;
  daemon::Config config = private_server();
  const bool given = !request.config_file.empty();
  if (!given) {
    out.push_back(ok(kCheck, "none is given: the private ring of this user, with a server's defaults"));
  } else if (auto read = configured(request.config_file)) {
    config = *std::move(read);
    out.push_back(ok(kCheck, request.config_file + " is complete: server " + std::to_string(config.node.value) +
                                 " of a roster of " + std::to_string(config.roster.size())));
  } else {
    out.push_back(problem(kCheck, read.error(), "name an existing file with --config"));
  }
  const auto running = running_server(config.socket);
  append(out, check_memory(memory_facts(config, running)));
  append(out, check_limits(limit_facts(config)));
  append(out, check_shared_memory(shared_memory_facts()));
  append(out, check_clock(clock_facts()));
  append(out, check_kernel(kernel_facts()));
  append(out, check_key(key_facts(config)));
  append(out, check_directory("state directory", directory_facts(config.state_directory, !given)));
  if (given)
    append(out, check_directory("socket directory", directory_facts(daemon::directory_of(config.socket), true)));
  append(out, check_ports(port_facts(config, running)));
  append(out, check_mpi(mpi_facts()));
  append(out, check_leftovers(leftover_facts()));
  return out;
}

}  // namespace rk::doctor
