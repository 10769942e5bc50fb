// SPDX-License-Identifier: Apache-2.0
// One client commits a value again and again: to a Ringkeep server, and to Redis with SET and WAIT 1. Blocks of both
// alternate; of each pair one line, "A_us B_us": medians of the time of one commit. With IN_FLIGHT, so many commits are
// under way at a time, to as many names, and the line has a block's time over its commits. Redis then has one WAIT for
// each SET, or for PER_WAIT of them.
// Usage: commits SIZE PAIRS COMMITS A B [IN_FLIGHT [PER_WAIT]]
//        A, B: ringkeep:SOCKET, redis:SOCKET, redis:HOST:PORT, rediss:HOST:PORT:CA
#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <ringkeep/ringkeep.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "commits: %s\n", what.c_str());
  std::exit(1);
}

struct Load {
  int commits = 0;
  int in_flight = 0;
  int per_wait = 1;
};

// Of the commit with that number.
std::string name_of(int number, const Load& load) {
  return "bench" + std::to_string(number % std::max(1, load.in_flight));
}

class Store {
 public:
  virtual ~Store() = default;
  virtual void commit(const std::string& value) = 0;
  virtual void commit_many(const std::string& value, const Load& load) = 0;
};

class Ringkeep final : public Store {
 public:
  explicit Ringkeep(const std::string& socket) {
    rk_options options{};
    options.struct_size = sizeof options;
    options.socket_path = socket.c_str();
    check(rk_open(&options, &client_));
  }
  ~Ringkeep() override { rk_close(client_); }
  void commit(const std::string& value) override {
    check(rk_put(client_, "bench", value.data(), value.size(), nullptr));
  }
  void commit_many(const std::string& value, const Load& load) override {
    std::vector<rk_outcome> outcomes(static_cast<std::size_t>(load.in_flight));
    for (int handed = 0, done = 0; done < load.commits;) {
      const int last = std::min(load.commits, done + load.in_flight);
      for (; handed < last; ++handed) {
        const rk_async_options options{sizeof options, 0, handed + 1 < last ? 1U : 0U};
        check(rk_put_async(client_, name_of(handed, load).c_str(), value.data(), value.size(), RK_LEVEL_REPLICATED, 0,
                           &options));
      }
      std::size_t count = 0;
      check(rk_outcomes(client_, outcomes.data(), outcomes.size(), &count, 10'000));
      if (count == 0) die("no outcome in 10 s");
      for (std::size_t i = 0; i < count; ++i)
        if (outcomes[i].code != RK_OK) die(outcomes[i].words);
      done += static_cast<int>(count);
    }
  }

 private:
  static void check(int code) {
    if (code != RK_OK) die(rk_last_error());
  }
  rk_client* client_ = nullptr;
};

// Bytes to and from Redis, which hiredis formats and reads; it has no TLS itself.
class Redis final : public Store {
 public:
  // SOCKET, HOST:PORT, or with TLS HOST:PORT:CA, the file that proves the server's certificate.
  Redis(const std::string& where, bool tls) : socket_(connect_to(where)) {
    if (!tls) return;
    context_.reset(SSL_CTX_new(TLS_client_method()));
    const std::string authority = where.substr(where.rfind(':') + 1);
    if (!context_ || SSL_CTX_load_verify_locations(context_.get(), authority.c_str(), nullptr) != 1)
      die("no certificate in " + authority);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    session_.reset(SSL_new(context_.get()));
    if (!session_ || SSL_set_fd(session_.get(), socket_) != 1 || SSL_connect(session_.get()) != 1)
      die("no TLS connection to Redis");
  }
  ~Redis() override { ::close(socket_); }

  void commit(const std::string& value) override {
    send(set("bench", value) + kWait);
    answer();
    if (answer() < 1) die("Redis has no replica");
  }

  void commit_many(const std::string& value, const Load& load) override {
    for (int handed = 0, done = 0; done < load.commits;) {
      std::string bytes;
      while (handed < load.commits && handed + load.per_wait <= done + load.in_flight) {
        for (int i = 0; i < load.per_wait; ++i) bytes += set(name_of(handed++, load), value);
        bytes += kWait;
      }
      if (!bytes.empty()) send(bytes);
      // What is there, and the first if there is nothing.
      do {
        for (int i = 0; i < load.per_wait; ++i) answer();
        if (answer() < 1) die("Redis has no replica");
        done += load.per_wait;
      } while (done < handed && has_answer());
    }
  }

 private:
  static int connect_to(const std::string& where) {
    const std::size_t colon = where.find(':');
    int socket = -1;
    int result = -1;
    if (colon == std::string::npos) {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      where.copy(address.sun_path, sizeof address.sun_path - 1);
      socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
      result = ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } else {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(where.c_str() + colon + 1)));
      inet_pton(AF_INET, where.substr(0, colon).c_str(), &address.sin_addr);
      socket = ::socket(AF_INET, SOCK_STREAM, 0);
      const int on = 1;
      setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      result = ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
    if (result != 0) die("no Redis at " + where);
    return socket;
  }
  static constexpr const char* kWait = "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$1\r\n0\r\n";
  static std::string set(const std::string& key, const std::string& value) {
    char* text = nullptr;
    const int size = redisFormatCommand(&text, "SET %b %b", key.data(), key.size(), value.data(), value.size());
    if (size < 0) die("no command");
    std::string bytes(text, static_cast<std::size_t>(size));
    redisFreeCommand(text);
    return bytes;
  }
  // Is more read than was answered? The rest of that comes at once.
  bool has_answer() const { return reader_->pos < reader_->len; }
  void send(const std::string& bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const auto left = bytes.size() - sent;
      const auto part = session_ ? SSL_write(session_.get(), bytes.data() + sent, static_cast<int>(left))
                                 : ::send(socket_, bytes.data() + sent, left, MSG_NOSIGNAL);
      if (part <= 0) die("Redis does not read");
      sent += static_cast<std::size_t>(part);
    }
  }
  long long answer() {
    void* reply = nullptr;
    for (;;) {
      if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) die(reader_->errstr);
      if (reply != nullptr) break;
      char bytes[16384];
      const auto got =
          session_ ? SSL_read(session_.get(), bytes, sizeof bytes) : ::recv(socket_, bytes, sizeof bytes, 0);
      if (got <= 0) die("Redis closed the connection");
      redisReaderFeed(reader_.get(), bytes, static_cast<std::size_t>(got));
    }
    const std::unique_ptr<redisReply, void (*)(void*)> held(static_cast<redisReply*>(reply), freeReplyObject);
    if (held->type == REDIS_REPLY_ERROR) die(held->str);
    return held->integer;
  }

  int socket_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, void (*)(SSL*)> session_{nullptr, SSL_free};
  std::unique_ptr<redisReader, void (*)(redisReader*)> reader_{redisReaderCreate(), redisReaderFree};
};

std::unique_ptr<Store> open_store(const std::string& name) {
  const std::size_t colon = name.find(':');
  const std::string kind = name.substr(0, colon);
  const std::string where = colon == std::string::npos ? "" : name.substr(colon + 1);
  if (kind == "ringkeep") return std::make_unique<Ringkeep>(where);
  if (kind == "redis" || kind == "rediss") return std::make_unique<Redis>(where, kind == "rediss");
  die("not a store: " + name);
}

double median_us(Store& store, const std::string& value, int commits) {
  std::vector<double> times;
  times.reserve(static_cast<std::size_t>(commits));
  for (int i = 0; i < commits; ++i) {
    const auto start = Clock::now();
    store.commit(value);
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  const auto middle = times.begin() + commits / 2;
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

double mean_us(Store& store, const std::string& value, const Load& load) {
  const auto start = Clock::now();
  store.commit_many(value, load);
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count() / load.commits;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6 || argc > 8) die("usage: commits SIZE PAIRS COMMITS A B [IN_FLIGHT [PER_WAIT]]");
  const std::string value(static_cast<std::size_t>(std::atoll(argv[1])), 'v');
  const int pairs = std::atoi(argv[2]);
  Load load{std::atoi(argv[3]), argc > 6 ? std::atoi(argv[6]) : 0, argc > 7 ? std::atoi(argv[7]) : 1};
  if (argc > 6 && (load.in_flight < 1 || load.in_flight > RK_MAX_IN_FLIGHT || load.per_wait < 1 ||
                   load.in_flight % load.per_wait != 0 || load.commits % load.per_wait != 0))
    die("IN_FLIGHT is 1 to " + std::to_string(RK_MAX_IN_FLIGHT) + ", it and COMMITS are multiples of PER_WAIT");
  const auto a = open_store(argv[4]);
  const auto b = open_store(argv[5]);
  const auto time_us = [&](Store& store) {
    return load.in_flight > 0 ? mean_us(store, value, load) : median_us(store, value, load.commits);
  };
  for (Store* store : {a.get(), b.get()}) time_us(*store);  // memory is warm, caches are not cold
  for (int pair = 0; pair < pairs; ++pair) {
    double times[2] = {};
    for (const int which : {pair % 2, 1 - pair % 2}) times[which] = time_us(which == 0 ? *a : *b);
    std::printf("%.2f %.2f\n", times[0], times[1]);
    std::fflush(stdout);
  }
}
