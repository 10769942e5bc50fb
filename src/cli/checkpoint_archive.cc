// SPDX-License-Identifier: Apache-2.0
// A section's bytes go from the server's shared memory to the file, and from the file into it, with no copy in between.
#include "cli/checkpoint_archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>

#include "archive/archive.h"
#include "cli/checkpoints.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "client/checkpoint.h"

namespace rk::cli {
namespace {

constexpr std::string_view kJobs = "job/";  // parts of a job's versions: of no use without the job
constexpr std::size_t kNamesShown = 5;

// --- export ----------------------------------------------------------------------------------------------------------

// Names and versions (0: the newest), in order.
Result<std::map<std::string, Version>> choose(client::Connection& connection, const ExportOptions& options) {
  std::map<std::string, Version> out;
  for (const std::string& text : options.names) {
    RK_TRY(const NamedVersion what, parse_named_version(text));
    if (!out.emplace(what.name, what.version).second)
      return fail(ErrorCode::kInvalidArgument,
                  "\"" + what.name + "\" is named twice: an export has one version of a name");
  }
  const bool all = options.names.empty() && options.prefixes.empty();
  for (const std::string& prefix : all ? std::vector<std::string>{""} : options.prefixes) {
    RK_TRY(const CheckpointTable table, fetch_table(connection, prefix));
    for (const wire::CheckpointEntry& entry : table.entries)
      if ((entry.newest || entry.lost) && !(prefix.size() < kJobs.size() && entry.name.starts_with(kJobs)))
        out.emplace(entry.name, Version());
  }
  return out;
}

Status export_one(client::Connection& connection, const std::string& name, Version version, archive::Builder& builder,
                  OutputFile& out, ArchivedCheckpoint& told) {
  RK_TRY(const client::Reader reader, client::Reader::open(connection, name, version));
  archive::Head head{reader.version(), {}};
  told = {name, reader.version(), {}, 0};
  for (const wire::SectionPlace& section : reader.sections()) {
    head.sections.push_back({section.name, section.size, section.sum});
    told.bytes += section.size;
  }
  RK_TRY(const Bytes start, builder.head(head));
  RK_TRY_VOID(out.write(start));
  for (const wire::SectionPlace& section : reader.sections()) {
    RK_TRY(const ByteView bytes, reader.section(section.name));
    builder.data(bytes);
    RK_TRY_VOID(out.write(bytes));
  }
  return {};
}

struct Export {
  std::vector<ArchivedCheckpoint> checkpoints;
  std::uint64_t bytes = 0;  // of the file
};

Result<Export> run_export(const ExportOptions& options, bool to_stdout) {
  if (to_stdout && ::isatty(STDOUT_FILENO) == 1)
    return fail(ErrorCode::kInvalidArgument, "an export is no text for a terminal: give -o FILE, or a pipe");
  RK_TRY(const auto connection, connect_for_long(options.asked, "ringkeep export"));
  RK_TRY(const auto chosen, choose(*connection, options));
  if (chosen.empty())
    return fail(ErrorCode::kNotFound, "there is no checkpoint to export: `ringkeep list` shows those that there are");
  std::vector<std::string> names;
  for (const auto& [name, version] : chosen) names.push_back(name);
  archive::Builder builder;
  RK_TRY(const Bytes opening, builder.opening(names));
  RK_TRY(OutputFile out, OutputFile::open(options.file));
  RK_TRY_VOID(out.write(opening));
  Export done;
  for (const auto& [name, version] : chosen)
    RK_TRY_VOID(export_one(*connection, name, version, builder, out, done.checkpoints.emplace_back()));
  RK_TRY_VOID(out.write(builder.closing()));
  RK_TRY_VOID(out.finish());
  done.bytes = out.written();
  return done;
}

std::string count_of(const std::vector<ArchivedCheckpoint>& checkpoints) {
  std::uint64_t bytes = 0;
  for (const ArchivedCheckpoint& item : checkpoints) bytes += item.bytes;
  return std::to_string(checkpoints.size()) + (checkpoints.size() == 1 ? " checkpoint, " : " checkpoints, ") +
         std::to_string(bytes) + " bytes";
}

// --- import ----------------------------------------------------------------------------------------------------------

class FileSource : public archive::Source {
 public:
  FileSource(int descriptor, std::string shown) : descriptor_(descriptor), shown_(std::move(shown)) {}
  Result<std::size_t> read(std::span<std::byte> to) override {
    for (;;) {
      const ssize_t got = ::read(descriptor_, to.data(), to.size());
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) return cannot("read", shown_, errno);
    }
  }

 private:
  int descriptor_;
  std::string shown_;
};

// Reads only, and tells what is there.
class CheckSink : public archive::Sink {
 public:
  Status names(const std::vector<std::string>& /*names*/) override { return {}; }
  Status begin(const std::string& name, const archive::Head& head) override {
    checkpoints.push_back({name, head.version, {}, 0});
    for (const archive::Section& section : head.sections) checkpoints.back().bytes += section.size;
    return {};
  }
  Result<std::span<std::byte>> place(std::size_t /*section*/, std::uint64_t /*offset*/, std::uint64_t left) override {
    return std::span(scratch_).first(static_cast<std::size_t>(std::min<std::uint64_t>(left, scratch_.size())));
  }
  Status finish() override { return {}; }

  std::vector<ArchivedCheckpoint> checkpoints;

 private:
  Bytes scratch_ = Bytes(std::size_t{1} << 20U);
};

// Commits each checkpoint when all its bytes are there and right.
class ImportSink : public archive::Sink {
 public:
  explicit ImportSink(const ImportOptions& options) : options_(options) {}

  // The server is asked as late as here: a stream that is no export needs none.
  Status names(const std::vector<std::string>& names) override {
    RK_TRY(connection_, ours(connect_for_long(options_.asked, "ringkeep import")));
    total_ = names.size();
    if (options_.new_version) return {};
    RK_TRY(const CheckpointTable table, ours(fetch_table(*connection_, "")));
    std::vector<std::string> there;
    for (const wire::CheckpointEntry& entry : table.entries)
      if (std::binary_search(names.begin(), names.end(), entry.name)) there.push_back(entry.name);
    if (there.empty()) return {};
    std::string shown;
    for (std::size_t i = 0; i < std::min(there.size(), kNamesShown); ++i)
      shown += (i == 0 ? "\"" : ", \"") + there[i] + "\"";
    if (there.size() > kNamesShown) shown += " and " + std::to_string(there.size() - kNamesShown) + " more";
    return ours(Status(fail(ErrorCode::kExists, shown + (there.size() == 1 ? " exists" : " exist") +
                                                    " already, so nothing was imported: --new-version commits what "
                                                    "comes as the next version, `ringkeep rm` removes what is there")));
  }
  Status begin(const std::string& name, const archive::Head& head) override {
    now_ = {name, head.version, {}, 0};
    std::vector<wire::SectionSpec> specs;
    for (const archive::Section& section : head.sections) {
      specs.push_back({section.name, section.size});
      now_.bytes += section.size;
    }
    RK_TRY(client::Writer writer, ours(client::Writer::begin(*connection_, name, specs)));
    writer_.emplace(std::move(writer));
    sections_ = std::move(specs);
    return {};
  }
  Result<std::span<std::byte>> place(std::size_t section, std::uint64_t offset, std::uint64_t /*left*/) override {
    RK_TRY(const std::span<std::byte> whole, ours(writer_->section(sections_[section].name)));
    return whole.subspan(static_cast<std::size_t>(offset));
  }
  Status finish() override {
    const auto level = options_.local ? wire::CommitLevel::kLocal : wire::CommitLevel::kReplicated;
    RK_TRY(const client::Committed committed, ours(writer_->commit(level)));
    writer_.reset();
    now_.imported = committed.version;
    checkpoints.push_back(now_);
    return {};
  }

  // Whether the error that ended the reading is none of the file.
  bool failed() const { return failed_; }
  // What stays of an import that did not come to its end.
  std::string remainder() const {
    if (total_ == 0 || checkpoints.empty()) return "";
    return " (" + std::to_string(checkpoints.size()) + " of " + std::to_string(total_) +
           " checkpoints were imported before, up to \"" + checkpoints.back().name + "\")";
  }

  std::vector<ArchivedCheckpoint> checkpoints;

 private:
  template <class Value>
  Result<Value> ours(Result<Value> result) {
    if (!result) failed_ = true;
    return result;
  }

  const ImportOptions& options_;
  std::unique_ptr<client::Connection> connection_;
  std::optional<client::Writer> writer_;
  std::vector<wire::SectionSpec> sections_;
  ArchivedCheckpoint now_;
  std::size_t total_ = 0;
  bool failed_ = false;
};

// One line, and the status: what is wrong with the bytes of a file is no fault of a server.
int complain_of(Error error, const std::string& shown, bool of_the_file, const std::string& remainder) {
  const bool bytes = of_the_file && (error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kVersionMismatch);
  if (bytes) error.message = "cannot import " + shown + ": " + error.message;
  error.message += remainder;
  const int code = complain(error);
  return bytes ? kBadData : code;
}

int tell_import(const ImportOptions& options, const std::vector<ArchivedCheckpoint>& checkpoints) {
  if (options.json)
    print(to_json(options.file, std::nullopt, checkpoints));
  else
    print(count_of(checkpoints) + (options.check ? ", undamaged\n" : ", imported\n"));
  return kSuccess;
}

}  // namespace

int export_checkpoints(const ExportOptions& options) {
  const bool to_stdout = options.file.empty() || options.file == "-";
  const auto done = run_export(options, to_stdout);
  if (!done) return complain(done.error());
  const std::string text = options.json ? to_json(to_stdout ? "-" : options.file, done->bytes, done->checkpoints)
                                        : count_of(done->checkpoints) + ", exported to " + options.file + "\n";
  if (!to_stdout)
    print(text);
  else if (options.json)
    std::fputs(text.c_str(), stderr);
  return kSuccess;
}

int import_checkpoints(const ImportOptions& options) {
  const bool from_stdin = options.file == "-";
  const std::string shown = from_stdin ? "standard input" : options.file;
  shm::Descriptor opened;
  if (!from_stdin) {
    opened = shm::Descriptor(::open(options.file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened) return complain(cannot("read", shown, errno).value());
  }
  const int from = from_stdin ? STDIN_FILENO : opened.get();
  FileSource source(from, shown);
  struct stat facts {};
  const bool regular = ::fstat(from, &facts) == 0 && S_ISREG(facts.st_mode);
  const off_t start = regular ? ::lseek(from, 0, SEEK_CUR) : -1;
  // Of what can be read twice, nothing is imported unless all of it is right.
  if (options.check || start >= 0) {
    CheckSink whole;
    if (const Status read = archive::read(source, whole); !read) return complain_of(read.error(), shown, true, "");
    if (options.check) return tell_import(options, whole.checkpoints);
    if (::lseek(from, start, SEEK_SET) < 0) return complain(cannot("read", shown, errno).value());
  }
  ImportSink sink(options);
  const Status read = archive::read(source, sink);
  if (read) return tell_import(options, sink.checkpoints);
  if (options.json) tell_import(options, sink.checkpoints);
  return complain_of(read.error(), shown, !sink.failed(), sink.remainder());
}

}  // namespace rk::cli
