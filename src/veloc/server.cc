// SPDX-License-Identifier: Apache-2.0
#include "veloc/server.h"

namespace rk::veloc {
namespace {

tl::unexpected<Error> words_of(int code) {
  const std::string words = rk_last_error();
  return fail(static_cast<ErrorCode>(code), words.empty() ? rk_error_name(code) : words);
}

}  // namespace

tl::unexpected<Error> Server::failed(int code) {
  const bool answered = code == RK_ERR_NOT_FOUND || code == RK_ERR_EXISTS || code == RK_ERR_CORRUPT ||
                        code == RK_ERR_LOST || code == RK_ERR_NO_MEMORY || code == RK_ERR_INVALID_ARGUMENT;
  if (!answered) doubtful_ = true;
  return words_of(code);
}

Status Server::renew() {
  if (!doubtful_) return {};
  rk_close(client_);
  client_ = nullptr;
  if (const int code = rk_open(nullptr, &client_); code != RK_OK) return words_of(code);
  doubtful_ = false;
  return {};
}

Result<Writer> Server::begin(const std::string& name, std::size_t header_bytes, std::uint64_t data_bytes) {
  const rk_section sections[] = {{kHeaderSection, header_bytes}, {kDataSection, data_bytes}};
  rk_writer* writer = nullptr;
  if (const int code = rk_begin(client_, name.c_str(), sections, 2, &writer); code != RK_OK) return failed(code);
  return Writer(writer);
}

Result<std::uint64_t> Server::commit(Writer writer) {
  std::uint64_t version = 0;
  if (const int code = rk_commit(writer.release(), RK_LEVEL_REPLICATED, &version); code != RK_OK) return failed(code);
  return version;
}

Result<Reader> Server::read(const std::string& name, std::uint64_t version) {
  rk_reader* reader = nullptr;
  if (const int code = rk_read(client_, name.c_str(), version, &reader); code != RK_OK) return failed(code);
  return Reader(reader);
}

Status Server::remove(const std::string& name) {
  if (const int code = rk_delete(client_, name.c_str()); code != RK_OK) return failed(code);
  return {};
}

Result<std::span<std::byte>> section_of(const Writer& writer, const char* section) {
  void* data = nullptr;
  std::size_t size = 0;
  if (const int code = rk_writer_section(writer.get(), section, &data, &size); code != RK_OK) return words_of(code);
  return std::span(static_cast<std::byte*>(data), size);
}

Result<ByteView> section_of(const Reader& reader, const char* section) {
  const void* data = nullptr;
  std::size_t size = 0;
  if (const int code = rk_reader_section(reader.get(), section, &data, &size); code != RK_OK) return words_of(code);
  return ByteView(static_cast<const std::byte*>(data), size);
}

}  // namespace rk::veloc
