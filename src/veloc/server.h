// SPDX-License-Identifier: Apache-2.0
// This node's server, by the C interface: its handles with an owner, its codes as errors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ringkeep/ringkeep.h"

namespace rk::veloc {

struct EndReader {
  void operator()(rk_reader* reader) const { rk_reader_close(reader); }
};
struct EndWriter {
  void operator()(rk_writer* writer) const { rk_abandon(writer); }
};
using Reader = std::unique_ptr<rk_reader, EndReader>;
using Writer = std::unique_ptr<rk_writer, EndWriter>;

inline constexpr char kHeaderSection[] = "veloc.header";
inline constexpr char kDataSection[] = "veloc.data";

// Readers and writers end before their server does, and before renew().
class Server {
 public:
  Server() = default;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { rk_close(client_); }

  // Connects, also anew if a call has failed since: the connection may be what failed.
  Status renew();
  Result<Writer> begin(const std::string& name, std::size_t header_bytes, std::uint64_t data_bytes);
  // The keep's number of the version, which then is in the memory of two servers.
  Result<std::uint64_t> commit(Writer writer);
  // Version 0: the newest.
  Result<Reader> read(const std::string& name, std::uint64_t version);
  Status remove(const std::string& name);

 private:
  tl::unexpected<Error> failed(int code);
  rk_client* client_ = nullptr;
  bool doubtful_ = true;
};

Result<std::span<std::byte>> section_of(const Writer& writer, const char* section);
Result<ByteView> section_of(const Reader& reader, const char* section);

}  // namespace rk::veloc
