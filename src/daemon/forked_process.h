// SPDX-License-Identifier: Apache-2.0
// A process that ringkeepd forks and that goes on when the server is killed.
#pragma once

#include <initializer_list>

namespace rk::daemon {

// Whether the process goes on writing to the server's log; who reads that to its end waits for the process, too.
enum class KeepsLog : bool { kNo, kYes };

// In the child: standard input, output and, without the log, error lead nowhere, nothing else is open but `kept`, and
// signals that are meant for the server's terminal or its service do not end it.
void outlive_the_parent(const char* name, std::initializer_list<int> kept, KeepsLog log);

}  // namespace rk::daemon
