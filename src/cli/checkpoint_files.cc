// SPDX-License-Identifier: Apache-2.0
// Between files and checkpoints: bytes are read into shared memory and written out of it, with no copy in between.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/checkpoints.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "client/checkpoint.h"
#include "shm/descriptor.h"

namespace rk::cli {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20U;

Result<const wire::SectionPlace*> choose_section(const client::Reader& reader, const std::string& wanted) {
  std::string names;
  for (const wire::SectionPlace& section : reader.sections()) {
    if (section.name == wanted) return &section;
    names += (names.empty() ? "" : ", ") + section.name;
  }
  if (wanted.empty() && reader.sections().size() == 1) return &reader.sections().front();
  if (wanted.empty())
    return fail(ErrorCode::kInvalidArgument, "the checkpoint has several sections (" + names +
                                                 "): name one with "
                                                 "--section");
  return fail(ErrorCode::kNotFound, "the checkpoint has no section \"" + wanted + "\", it has " + names);
}

Status get(const GetOptions& options) {
  RK_TRY(const NamedVersion what, parse_named_version(options.what));
  RK_TRY(const auto connection, connect_for_long(options.asked, "ringkeep get"));
  RK_TRY(const client::Reader reader, client::Reader::open(*connection, what.name, what.version));
  RK_TRY(const wire::SectionPlace* const section, choose_section(reader, options.section));
  RK_TRY(const ByteView bytes, reader.section(section->name));
  RK_TRY(OutputFile out, OutputFile::open(options.file));
  RK_TRY_VOID(out.write(bytes));
  return out.finish();
}

// What is to become a section: a file whose size is known, or all that a pipe gave.
struct Source {
  std::string section;
  std::string file;
  shm::Descriptor descriptor;
  std::uint64_t size = 0;
  Bytes given;  // of a pipe
};

Status read_pipe(int descriptor, Source& source) {
  Bytes piece(kPieceBytes);
  for (;;) {
    const ssize_t got = ::read(descriptor, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot("read", source.file, errno);
    if (got == 0) break;
    source.given.insert(source.given.end(), piece.begin(), piece.begin() + got);
  }
  source.size = source.given.size();
  return {};
}

Result<Source> open_source(const std::string& section, const std::string& file) {
  Source source;
  source.section = section;
  source.file = file == "-" ? "standard input" : file;
  int from = STDIN_FILENO;
  if (file != "-") {
    source.descriptor = shm::Descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!source.descriptor) return cannot("read", file, errno);
    from = source.descriptor.get();
  }
  struct stat facts {};
  if (::fstat(from, &facts) != 0) return cannot("read", source.file, errno);
  if (S_ISDIR(facts.st_mode)) return cannot("read", source.file, EISDIR);
  if (file != "-" && S_ISREG(facts.st_mode)) {
    source.size = static_cast<std::uint64_t>(facts.st_size);
    return source;
  }
  RK_TRY_VOID(read_pipe(from, source));
  return source;
}

Result<std::vector<Source>> open_sources(const PutOptions& options) {
  std::vector<Source> out;
  for (const std::string& text : options.sections) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == text.size())
      return fail(ErrorCode::kInvalidArgument, "\"" + text + "\" is no section: give NAME=FILE");
    RK_TRY(Source source, open_source(text.substr(0, equals), text.substr(equals + 1)));
    out.push_back(std::move(source));
  }
  if (!out.empty()) return out;
  RK_TRY(Source source, open_source("data", options.file));
  out.push_back(std::move(source));
  return out;
}

Status fill(std::span<std::byte> to, const Source& source) {
  if (!source.descriptor || !source.given.empty()) {
    if (!to.empty()) std::memcpy(to.data(), source.given.data(), to.size());
    return {};
  }
  while (!to.empty()) {
    const ssize_t got = ::read(source.descriptor.get(), to.data(), to.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot("read", source.file, errno);
    if (got == 0) return fail(ErrorCode::kIo, source.file + " became shorter while it was read: nothing was committed");
    to = to.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<client::Committed> put(const PutOptions& options, std::uint64_t& bytes) {
  RK_TRY(const auto sources, open_sources(options));
  RK_TRY(const auto connection, connect_for_long(options.asked, "ringkeep put"));
  std::vector<wire::SectionSpec> specs;
  for (const Source& source : sources) {
    specs.push_back({source.section, source.size});
    bytes += source.size;
  }
  RK_TRY(client::Writer writer, client::Writer::begin(*connection, options.name, specs));
  for (const Source& source : sources) {
    RK_TRY(const std::span<std::byte> place, writer.section(source.section));
    RK_TRY_VOID(fill(place, source));
  }
  return writer.commit(options.local ? wire::CommitLevel::kLocal : wire::CommitLevel::kReplicated);
}

}  // namespace

int get_checkpoint(const GetOptions& options) {
  const Status done = get(options);
  return done ? kSuccess : complain(done.error());
}

int put_checkpoint(const PutOptions& options) {
  std::uint64_t bytes = 0;
  const auto committed = put(options, bytes);
  if (!committed) return complain(committed.error());
  if (options.json) {
    print(to_json(options.name, committed->version, bytes));
  } else {
    print(shown(options.name) + "@" + std::to_string(committed->version.value) + ", " + std::to_string(bytes) +
          " bytes" + (options.local ? ", on one server only\n" : ", on two servers\n"));
  }
  return kSuccess;
}

}  // namespace rk::cli
