// SPDX-License-Identifier: Apache-2.0
#include "cli/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace rk::cli {
namespace {

// Where the bytes go if the name is a link: it stays one.
std::string target_of(const std::string& file) {
  char* const real = ::realpath(file.c_str(), nullptr);
  if (real == nullptr) return file;
  std::string out = real;
  std::free(real);  // NOLINT(cppcoreguidelines-no-malloc): realpath() took it
  return out;
}

}  // namespace

tl::unexpected<Error> cannot(const std::string& what, const std::string& file, int error) {
  const ErrorCode code = error == ENOENT                     ? ErrorCode::kNotFound
                         : error == EACCES || error == EPERM ? ErrorCode::kPermission
                                                             : ErrorCode::kIo;
  return fail(code, "cannot " + what + " " + file + ": " + std::strerror(error));
}

Result<OutputFile> OutputFile::open(const std::string& file) {
  OutputFile out;
  out.shown_ = "standard output";
  if (file.empty() || file == "-") return out;
  struct stat facts {};
  const bool there = ::stat(file.c_str(), &facts) == 0;
  if (there && S_ISDIR(facts.st_mode)) return cannot("write", file, EISDIR);
  if (there && !S_ISREG(facts.st_mode)) {
    out.shown_ = file;
    out.descriptor_ = shm::Descriptor(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  } else {
    out.file_ = target_of(file);
    out.part_ = out.shown_ = out.file_ + ".part";
    out.descriptor_ =
        shm::Descriptor(::open(out.part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  }
  if (!out.descriptor_) {
    const int error = errno;
    out.part_.clear();  // whatever is there is not ours
    return cannot("write", out.shown_, error);
  }
  return out;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : descriptor_(std::move(other.descriptor_)),
      shown_(std::move(other.shown_)),
      part_(std::exchange(other.part_, {})),
      file_(std::move(other.file_)),
      written_(other.written_) {}

OutputFile::~OutputFile() {
  if (!part_.empty()) ::unlink(part_.c_str());
}

Status OutputFile::write(ByteView bytes) {
  const int to = descriptor_ ? descriptor_.get() : STDOUT_FILENO;
  while (!bytes.empty()) {
    const ssize_t written = ::write(to, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return cannot("write", shown_, errno);
    written_ += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status OutputFile::finish() {
  if (part_.empty()) return {};
  if (::fsync(descriptor_.get()) != 0) return cannot("write", part_, errno);
  if (::rename(part_.c_str(), file_.c_str()) != 0) return cannot("replace", file_, errno);
  part_.clear();
  return {};
}

}  // namespace rk::cli
