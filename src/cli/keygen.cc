// SPDX-License-Identifier: Apache-2.0
// `ringkeep keygen`: makes a key file and takes it through a change of keys. It never shows a key.
#include <cstdio>

#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "keys/key_file.h"

namespace rk::cli {
namespace {

Result<keys::KeySet> change(const KeygenOptions& options) {
  if (options.action == KeygenAction::kCreate) {
    auto keys = keys::KeySet::generate();
    RK_TRY_VOID(keys::create_key_file(options.file, keys));
    return keys;
  }
  RK_TRY(auto keys, keys::read_key_file(options.file));
  if (options.action == KeygenAction::kShow) return keys;
  if (options.action == KeygenAction::kAdd) RK_TRY_VOID(keys.add());
  if (options.action == KeygenAction::kPromote) RK_TRY_VOID(keys.promote());
  if (options.action == KeygenAction::kDropOthers) keys.drop_others();
  RK_TRY_VOID(keys::replace_key_file(options.file, keys));
  return keys;
}

const char* next_step(KeygenAction action) {
  switch (action) {
    case KeygenAction::kCreate:
      return "copy the file to every server\n";
    case KeygenAction::kAdd:
      return "copy the file to every server, reload each with SIGHUP, then --promote\n";
    case KeygenAction::kPromote:
      return "copy the file to every server, reload each with SIGHUP, then --drop-others\n";
    case KeygenAction::kDropOthers:
      return "copy the file to every server, reload each with SIGHUP: links under other keys are made anew\n";
    case KeygenAction::kShow:
      break;
  }
  return "";
}

std::string text_of(const keys::KeySet& keys, KeygenAction action) {
  std::string out;
  for (const keys::ClusterKey& key : keys.all())
    out += key.name() + (key.id() == keys.first().id() ? "  used to dial\n" : "  accepted\n");
  return out + next_step(action);
}

}  // namespace

int keygen(const KeygenOptions& options) {
  const auto keys = change(options);
  if (!keys) return complain(keys.error());
  const std::string text = options.json ? to_json(*keys) : text_of(*keys, options.action);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return kSuccess;
}

}  // namespace rk::cli
