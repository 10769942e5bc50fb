// SPDX-License-Identifier: Apache-2.0
// Any bytes as a key file: keys that are written and read again unchanged through every step of a change, or an error
// that repeats nothing of what may be a secret.
#include <algorithm>

#include "base/check.h"
#include "keys/key_set.h"
#include "tests/fuzz/fuzz_target.h"

namespace rk::fuzz {
namespace {

constexpr std::size_t kMaxShown = 16;  // hex digits in a row: a key's id

std::size_t longest_run_of_hex(std::string_view text) {
  std::size_t longest = 0;
  std::size_t run = 0;
  for (const char c : text) {
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    run = hex ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

void check_round_trip(const keys::KeySet& keys) {
  const auto again = keys::KeySet::parse(keys.text());
  RK_CHECK(again && again->text() == keys.text());
}

}  // namespace

void run(ByteView input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  auto keys = keys::KeySet::parse(text);
  if (!keys) {
    RK_CHECK(longest_run_of_hex(keys.error().message) <= kMaxShown);
    return;
  }
  RK_CHECK(!keys->all().empty() && keys->all().size() <= keys::kMaxKeys);
  check_round_trip(*keys);
  for (const keys::ClusterKey& key : keys->all()) RK_CHECK(keys->find(key.id())->line() == key.line());
  (void)keys->add();
  (void)keys->promote();
  check_round_trip(*keys);
  keys->drop_others();
  check_round_trip(*keys);
  RK_CHECK(keys->all().size() == 1);
}

}  // namespace rk::fuzz
