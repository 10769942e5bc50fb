// SPDX-License-Identifier: Apache-2.0
// What the handles of the C ABI hold.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/async_commits.h"
#include "client/checkpoint.h"
#include "client/connection.h"
#include "ringkeep/ringkeep.h"

struct rk_client {
  explicit rk_client(std::unique_ptr<rk::client::Connection> opened)
      : connection(std::move(opened)), commits(*connection) {}

  std::unique_ptr<rk::client::Connection> connection;
  rk::client::AsyncCommits commits;
  std::vector<rk::client::AsyncOutcome> taken;  // by the last rk_outcomes: its words are in here
  bool poisoned = false;
};

struct rk_writer {
  rk_client* client;
  rk::client::Writer writer;
};
