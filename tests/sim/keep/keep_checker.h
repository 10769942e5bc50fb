// SPDX-License-Identifier: Apache-2.0
// What must hold of the keep, judged from outside of its code: from the messages, the answers to clients and the bytes
// that lie in the servers' memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "keep/events.h"

namespace rk::keep_sim {

class Checker {
 public:
  // A version has this content, wherever it was seen.
  void content(const wire::KeepKey& key, Version version, std::uint64_t sum, const std::string& where);
  // A commit was answered OK.
  void committed(const wire::KeepKey& key, Version version);
  // A removal was asked for: from now on the name's versions may be gone.
  void removal(const wire::KeepKey& key) { newest_ok_[key] = Version(); }
  // The newest version that was answered OK; 0 if there is none that must exist.
  Version newest_ok(const wire::KeepKey& key) const;

  void violated(const std::string& what) {
    if (violation_.empty()) violation_ = what;
  }
  const std::string& violation() const { return violation_; }

 private:
  std::map<std::pair<wire::KeepKey, Version>, std::uint64_t> contents_;
  std::map<wire::KeepKey, Version> newest_ok_;
  std::string violation_;
};

}  // namespace rk::keep_sim
