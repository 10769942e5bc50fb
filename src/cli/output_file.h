// SPDX-License-Identifier: Apache-2.0
// What a command writes, to a file or to standard output.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "shm/descriptor.h"

namespace rk::cli {

// A file that is replaced as a whole: it has either all bytes or what it had before. Of a device or a pipe nothing can
// be replaced: it is written to.
class OutputFile {
 public:
  // Empty or "-": standard output.
  static Result<OutputFile> open(const std::string& file);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();  // without finish(): leaves the file as it was

  Status write(ByteView bytes);
  Status finish();
  std::uint64_t written() const { return written_; }

 private:
  OutputFile() = default;
  shm::Descriptor descriptor_;  // none: standard output
  std::string shown_;           // for people
  std::string part_;            // what becomes the file at finish(); empty: it is written to in place
  std::string file_;
  std::uint64_t written_ = 0;
};

// "cannot <what> <file>: <the system's words>".
tl::unexpected<Error> cannot(const std::string& what, const std::string& file, int error);

}  // namespace rk::cli
