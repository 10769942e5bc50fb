// SPDX-License-Identifier: Apache-2.0
// A counter that outlives its process: the example of README.md. Needs a server: `ringkeep up`.
#include <iostream>
#include <ringkeep/ringkeep.hpp>

int main() {
  ringkeep::Client client;  // this node's server
  long lives = 0;
  if (const auto last = client.find("lives")) lives = last->value<long>();
  ++lives;
  const auto version = client.put_value("lives", lives);  // here and on the predecessor, or an Error
  std::cout << "life " << lives << ", version " << version << "\n";
}
