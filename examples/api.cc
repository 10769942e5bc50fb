// SPDX-License-Identifier: Apache-2.0
// A counter that outlives its process: the example of README.md. Needs a server: `ringkeep up`.
#include <cstring>
#include <iostream>
#include <ringkeep/ringkeep.hpp>

int main() {
  rk::Client client;  // this node's server
  std::int64_t lives = 0;
  if (const auto last = client.find("lives")) std::memcpy(&lives, last->section("data").data(), sizeof lives);
  ++lives;
  const auto version = client.put("lives", std::as_bytes(std::span(&lives, 1)));  // here and on the predecessor
  std::cout << "life " << lives << ", version " << version << "\n";
}
