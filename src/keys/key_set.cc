// SPDX-License-Identifier: Apache-2.0
#include "keys/key_set.h"

#include <algorithm>
#include <cstdint>

namespace rk::keys {
namespace {

bool older(const ClusterKey& a, const ClusterKey& b) { return a.number() < b.number(); }

}  // namespace

KeySet KeySet::generate() {
  KeySet set;
  set.keys_.push_back(ClusterKey::generate(1));
  return set;
}

Result<KeySet> KeySet::parse(std::string_view text) {
  if (text.size() > kMaxKeyFileBytes)
    return fail(ErrorCode::kInvalidArgument,
                "more than " + std::to_string(kMaxKeyFileBytes) + " bytes: name the file that `ringkeep keygen` made");
  KeySet set;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::size_t start = line.find_first_not_of(" \t\r");
    if (start == std::string_view::npos || line[start] == '#') continue;
    const std::string place = "line " + std::to_string(number) + ": ";
    const auto key = ClusterKey::parse(line);
    if (!key) return fail(key.error().code, place + key.error().message);
    if (set.find(key->id()) != nullptr)
      return fail(ErrorCode::kInvalidArgument, place + key->name() + " is there twice: remove one of the lines");
    if (set.keys_.size() == kMaxKeys)
      return fail(ErrorCode::kInvalidArgument,
                  place + "more than " + std::to_string(kMaxKeys) + " keys: drop old ones with `ringkeep keygen`");
    set.keys_.push_back(*key);
  }
  if (set.keys_.empty()) return fail(ErrorCode::kInvalidArgument, "no key in it: make the file with `ringkeep keygen`");
  return set;
}

std::string KeySet::text() const {
  std::string out = "# Keys of a Ringkeep cluster: the first is used to dial, all are accepted. Secret.\n";
  for (const ClusterKey& key : keys_) out += key.line() + "\n";
  return out;
}

const ClusterKey* KeySet::find(std::string_view id) const {
  const auto at = std::find_if(keys_.begin(), keys_.end(), [&](const ClusterKey& key) { return key.id() == id; });
  return at == keys_.end() ? nullptr : &*at;
}

Status KeySet::add() {
  if (keys_.size() == kMaxKeys)
    return fail(ErrorCode::kNoMemory, "there are " + std::to_string(kMaxKeys) +
                                          " keys already: finish the last change with --promote and --drop-others");
  const std::uint32_t newest = std::max_element(keys_.begin(), keys_.end(), older)->number();
  if (newest == UINT32_MAX)
    return fail(ErrorCode::kInvalidArgument, "key " + std::to_string(newest) + " has the last number: make a new file");
  keys_.push_back(ClusterKey::generate(newest + 1));
  return {};
}

Status KeySet::promote() {
  if (keys_.size() == 1)
    return fail(ErrorCode::kInvalidArgument, "there is one key only: first add one with --add, on all servers");
  const auto newest = std::max_element(keys_.begin(), keys_.end(), older);
  std::rotate(keys_.begin(), newest, newest + 1);
  return {};
}

}  // namespace rk::keys
