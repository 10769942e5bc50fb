// SPDX-License-Identifier: Apache-2.0
#include "io/tls_channel.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"

namespace rk::io {
namespace {

constexpr std::size_t kMaxHandshakeBytes = std::size_t{8} << 10U;  // of one side; ours are below 1 KiB
constexpr std::size_t kRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;
constexpr unsigned char kHandshakeRecord = SSL3_RT_HANDSHAKE;
constexpr unsigned char kAlertRecord = SSL3_RT_ALERT;
constexpr std::string_view kIdentity = "ringkeep-1 ";  // then the cluster, a blank, the key's id
constexpr std::size_t kHexWord = 16;
constexpr unsigned char kCipher[] = {0x13, 0x01};  // of kCipherName; its hash must be the one that made the secret
constexpr char kCipherName[] = "TLS_AES_128_GCM_SHA256";
constexpr char kGroups[] = "P-256";  // fast, and allowed by every policy

bool is_hex_word(std::string_view text) {
  return text.size() == kHexWord &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

struct SharedKey {
  std::string identity;
  std::string key_id;
  std::string name;
  Bytes secret;
};

int read_incoming(BIO* bio, char* out, std::size_t size, std::size_t* got);
int write_outgoing(BIO* bio, const char* bytes, std::size_t size, std::size_t* written);
long control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// One for the program: OpenSSL keeps methods until its end.
const BIO_METHOD* bio_method() {
  static const BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ringkeep link");
    RK_CHECK(method != nullptr);
    BIO_meth_set_read_ex(method, read_incoming);
    BIO_meth_set_write_ex(method, write_outgoing);
    BIO_meth_set_ctrl(method, control);
    return method;
  }();
  return kMethod;
}

}  // namespace

struct TlsContext::State {
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> ssl{SSL_CTX_new(TLS_method()), &SSL_CTX_free};
  ClusterId cluster;
  std::vector<SharedKey> keys;

  ~State() {
    for (SharedKey& key : keys) OPENSSL_cleanse(key.secret.data(), key.secret.size());
  }
  const SharedKey* find(std::string_view identity) const {
    const auto at =
        std::find_if(keys.begin(), keys.end(), [&](const SharedKey& key) { return key.identity == identity; });
    return at == keys.end() ? nullptr : &*at;
  }
  Error unknown(std::string_view identity) const;
  static SSL_SESSION* session(SSL* ssl, const SharedKey& key);
  // OpenSSL's callbacks.
  static int dial_with(SSL* ssl, const EVP_MD* digest, const unsigned char** identity, std::size_t* size,
                       SSL_SESSION** out);
  static int find_session(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** out);
};

struct TlsChannel::State {
  std::shared_ptr<const TlsContext> context;
  Side side = Side::kDialer;
  std::uint64_t rekey_records = 0;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl{nullptr, &SSL_free};
  ByteView incoming;  // of the receive() that runs
  Bytes outgoing;
  std::size_t outgoing_start = 0;
  std::size_t handshake_bytes = 0;
  std::uint64_t records = 0;
  const SharedKey* key = nullptr;
  std::optional<Error> refusal;  // of the other side's key, better than OpenSSL's words
  bool begun = false;
  bool foreign = false;
  bool established = false;
  bool failed = false;

  Status shake_hands();
  Status read_records(const Sink& sink);
  Status prove_used();
  tl::unexpected<Error> give_up(Error why);
  tl::unexpected<Error> explain();
  Error alert(int reason, const std::string& words) const;
  tl::unexpected<Error> not_tls();
};

namespace {

int read_incoming(BIO* bio, char* out, std::size_t size, std::size_t* got) {
  auto& incoming = *static_cast<ByteView*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *got = std::min(size, incoming.size());
  if (*got == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(out, incoming.data(), *got);
  incoming = incoming.subspan(*got);
  return 1;
}

int write_outgoing(BIO* bio, const char* bytes, std::size_t size, std::size_t* written) {
  BIO_clear_retry_flags(bio);
  const auto* const from = reinterpret_cast<const std::byte*>(bytes);
  auto& out = *static_cast<Bytes*>(BIO_get_data(bio));
  out.insert(out.end(), from, from + size);
  *written = size;
  return 1;
}

BIO* bio_over(void* data) {
  BIO* bio = BIO_new(bio_method());
  RK_CHECK(bio != nullptr);
  BIO_set_data(bio, data);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace

TlsContext::TlsContext(const keys::KeySet& keys, ClusterId cluster) : state_(std::make_unique<State>()) {
  state_->cluster = cluster;
  const std::string cluster_name = to_hex(cluster.value);
  for (const keys::ClusterKey& key : keys.all())
    state_->keys.push_back({std::string(kIdentity) + cluster_name + " " + key.id(), key.id(), key.name(),
                            key.derive("ringkeep link of cluster " + cluster_name)});
  SSL_CTX* const ssl = state_->ssl.get();
  RK_CHECK(ssl != nullptr);
  RK_CHECK(SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1);
  RK_CHECK(SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1);
  RK_CHECK(SSL_CTX_set_ciphersuites(ssl, kCipherName) == 1);
  RK_CHECK(SSL_CTX_set1_groups_list(ssl, kGroups) == 1);
  RK_CHECK(SSL_CTX_set_num_tickets(ssl, 0) == 1);
  SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_psk_use_session_callback(ssl, State::dial_with);
  SSL_CTX_set_psk_find_session_callback(ssl, State::find_session);
}

TlsContext::~TlsContext() = default;

SSL_SESSION* TlsContext::State::session(SSL* ssl, const SharedKey& key) {
  const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, kCipher);
  SSL_SESSION* session = SSL_SESSION_new();
  RK_CHECK(cipher != nullptr && session != nullptr);
  RK_CHECK(SSL_SESSION_set1_master_key(session, reinterpret_cast<const unsigned char*>(key.secret.data()),
                                       key.secret.size()) == 1);
  RK_CHECK(SSL_SESSION_set_cipher(session, cipher) == 1);
  RK_CHECK(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1);
  return session;
}

int TlsContext::State::dial_with(SSL* ssl, const EVP_MD* /*digest*/, const unsigned char** identity, std::size_t* size,
                                 SSL_SESSION** out) {
  auto& channel = *static_cast<TlsChannel::State*>(SSL_get_app_data(ssl));
  const SharedKey& key = channel.context->state_->keys.front();
  channel.key = &key;
  *identity = reinterpret_cast<const unsigned char*>(key.identity.data());
  *size = key.identity.size();
  *out = session(ssl, key);
  return 1;
}

int TlsContext::State::find_session(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** out) {
  auto& channel = *static_cast<TlsChannel::State*>(SSL_get_app_data(ssl));
  const State& context = *channel.context->state_;
  const std::string_view wanted(reinterpret_cast<const char*>(identity), size);
  channel.key = context.find(wanted);
  *out = nullptr;
  // Without a session the handshake fails for want of a certificate, with the alert that explain() knows.
  if (channel.key != nullptr)
    *out = session(ssl, *channel.key);
  else
    channel.refusal = context.unknown(wanted);
  return 1;
}

Error TlsContext::State::unknown(std::string_view identity) const {
  std::string_view rest = identity.substr(std::min(kIdentity.size(), identity.size()));
  const std::string_view theirs = rest.substr(0, kHexWord);
  const std::string_view key_id = rest.substr(std::min(kHexWord + 1, rest.size()));
  if (!identity.starts_with(kIdentity) || !is_hex_word(theirs) || !is_hex_word(key_id))
    return {ErrorCode::kWrongCluster,
            "the other side names no key of a ringkeep cluster: it is no server, or one of another release"};
  const std::string ours = to_hex(cluster.value);
  if (theirs != ours)
    return {ErrorCode::kWrongCluster, "the other server belongs to cluster " + std::string(theirs) + ", this one to " +
                                          ours + ": correct the roster or the cluster id"};
  return {ErrorCode::kWrongCluster,
          "the other server dials with the key " + std::string(key_id) +
              ", which is not in this server's key file: copy the same key file to every server and reload them"};
}

TlsChannel::TlsChannel(std::shared_ptr<const TlsContext> context, Side side, std::uint64_t rekey_records)
    : state_(std::make_unique<State>()) {
  state_->context = std::move(context);
  state_->side = side;
  state_->rekey_records = rekey_records;
  state_->ssl.reset(SSL_new(state_->context->state_->ssl.get()));
  SSL* const ssl = state_->ssl.get();
  RK_CHECK(ssl != nullptr);
  SSL_set_app_data(ssl, state_.get());
  SSL_set_bio(ssl, bio_over(&state_->incoming), bio_over(&state_->outgoing));
  if (side == Side::kListener) {
    SSL_set_accept_state(ssl);
    return;
  }
  SSL_set_connect_state(ssl);
  // An impostor could pass the key by and show a certificate instead: no certificate is good enough.
  SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  RK_CHECK(state_->shake_hands());
}

TlsChannel::~TlsChannel() = default;

Status TlsChannel::receive(ByteView sealed, const Sink& sink) {
  State& state = *state_;
  RK_CHECK(!state.failed);
  if (sealed.empty()) return {};
  if (!state.begun) {
    state.begun = true;
    const auto first = std::to_integer<unsigned char>(sealed.front());
    if (first != kHandshakeRecord && first != kAlertRecord) return state.not_tls();
  }
  state.incoming = sealed;
  if (!state.established) {
    state.handshake_bytes += sealed.size();
    RK_TRY_VOID(state.shake_hands());
    if (!state.established && state.handshake_bytes > kMaxHandshakeBytes)
      return state.give_up({ErrorCode::kCorrupt, "a TLS handshake of more than " + std::to_string(kMaxHandshakeBytes) +
                                                     " bytes: the other side is no server of ringkeep"});
    if (!state.established) return {};
  }
  return state.read_records(sink);
}

Status TlsChannel::seal(ByteView plain) {
  State& state = *state_;
  RK_CHECK(state.established);
  if (plain.empty()) return {};
  ERR_clear_error();
  SSL* const ssl = state.ssl.get();
  state.records += plain.size() / kRecordBytes + 1;
  if (state.records >= state.rekey_records) {
    state.records = 0;
    // Goes out before the bytes.
    if (SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1) return state.explain();
  }
  std::size_t written = 0;
  if (SSL_write_ex(ssl, plain.data(), plain.size(), &written) != 1) return state.explain();
  RK_CHECK(written == plain.size());  // outgoing takes everything
  return {};
}

ByteView TlsChannel::outgoing() const { return ByteView(state_->outgoing).subspan(state_->outgoing_start); }

void TlsChannel::drop_outgoing(std::size_t size) {
  State& state = *state_;
  state.outgoing_start += size;
  RK_CHECK(state.outgoing_start <= state.outgoing.size());
  if (state.outgoing_start < state.outgoing.size()) return;
  state.outgoing.clear();
  state.outgoing_start = 0;
}

bool TlsChannel::established() const { return state_->established; }

bool TlsChannel::foreign() const { return state_->foreign; }

const std::string& TlsChannel::key_id() const {
  static const std::string kNone;
  return state_->established ? state_->key->key_id : kNone;
}

Status TlsChannel::State::shake_hands() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl.get());
  if (done != 1) {
    if (SSL_get_error(ssl.get(), done) == SSL_ERROR_WANT_READ) return {};
    return explain();
  }
  RK_TRY_VOID(prove_used());
  established = true;
  return {};
}

// OpenSSL counts a handshake by pre-shared key as the resumption of a session.
Status TlsChannel::State::prove_used() {
  if (SSL_session_reused(ssl.get()) == 1 && key != nullptr) return {};
  return give_up(
      {ErrorCode::kWrongCluster, "the other side does not prove a key of this cluster: it is no server of it"});
}

Status TlsChannel::State::read_records(const Sink& sink) {
  std::array<std::byte, kRecordBytes> plain;
  for (;;) {
    ERR_clear_error();
    std::size_t got = 0;
    if (SSL_read_ex(ssl.get(), plain.data(), plain.size(), &got) == 1) {
      sink(ByteView(plain).first(got));
      continue;
    }
    const int why = SSL_get_error(ssl.get(), 0);
    if (why == SSL_ERROR_WANT_READ) return {};
    if (why == SSL_ERROR_ZERO_RETURN) return give_up({ErrorCode::kPeerGone, "the other side closed the connection"});
    return explain();
  }
}

tl::unexpected<Error> TlsChannel::State::give_up(Error why) {
  failed = true;
  established = false;
  incoming = {};
  return tl::unexpected(std::move(why));
}

tl::unexpected<Error> TlsChannel::State::explain() {
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  if (refusal) return give_up(*refusal);
  const char* const text = ERR_reason_error_string(code);
  const std::string words = text == nullptr ? "OpenSSL gives no reason" : text;
  const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
  if (reason >= SSL_AD_REASON_OFFSET) return give_up(alert(reason - SSL_AD_REASON_OFFSET, words));
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
    return give_up(
        {ErrorCode::kWrongCluster,
         "the other side shows a certificate instead of proving a key of this cluster: it is no server of it"});
  if (established || reason == SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC || reason == SSL_R_BINDER_DOES_NOT_VERIFY)
    return give_up({ErrorCode::kCorrupt, "bytes that were altered on their way, or sent before (TLS: " + words + ")"});
  return give_up({ErrorCode::kCorrupt, "not the TLS of a ringkeep server (" + words + ")"});
}

Error TlsChannel::State::alert(int number, const std::string& words) const {
  const bool refused = number == SSL_AD_HANDSHAKE_FAILURE || number == SSL_AD_UNKNOWN_PSK_IDENTITY;
  if (!established && refused && key != nullptr)
    return {ErrorCode::kWrongCluster,
            "the other server does not accept " + key->name +
                ", or belongs to another cluster: give all servers the same key file, reload them, and compare the "
                "cluster ids"};
  return {ErrorCode::kPeerGone, "the other side ended the connection (TLS: " + words + ")"};
}

tl::unexpected<Error> TlsChannel::State::not_tls() {
  foreign = true;
  return give_up(
      {ErrorCode::kCorrupt,
       "this server encrypts its links and the other side does not: set 'encrypt' alike on all servers, with "
       "one release on them"});
}

}  // namespace rk::io
