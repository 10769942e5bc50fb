// SPDX-License-Identifier: Apache-2.0
#include "client/async_commits.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "client/lease.h"
#include "client/marked_stores.h"

namespace rk::client {
namespace {

// The server answers within the timeout that it is given; its answer needs a moment on the way.
constexpr std::uint32_t kAnswerSlackMs = 2000;

}  // namespace

Status AsyncCommits::require_room() const {
  if (open_.size() < kMaxCommitsInFlight) return {};
  return fail(ErrorCode::kNoMemory, std::to_string(kMaxCommitsInFlight) +
                                        " commits of this connection are in flight, which is the limit: nothing was "
                                        "changed, take outcomes first");
}

Status AsyncCommits::put(const std::string& name, ByteView data, const AsyncOrder& order) {
  if (data.size() <= kPutBytes)
    return start(wire::CheckpointPut{name, {{"data", data}}, order.level, order.timeout_ms}, name, {}, order);
  RK_TRY_VOID(require_room());
  RK_TRY(Writer writer, Writer::begin(connection_, name, {{"data", data.size()}}, {}, Writer::Addresses::kOurs));
  RK_TRY(const std::span<std::byte> place, writer.section("data"));
  fill(place, data);
  return writer.commit_async(*this, order);
}

void AsyncCommits::note(std::uint64_t request, Open open) {
  if (open.deadline_ms == 0) open.deadline_ms = boot_time_ms() + open.timeout_ms + kAnswerSlackMs;
  first_deadline_ms_ = std::min(first_deadline_ms_, open.deadline_ms);
  if (Readiness* readiness = connection_.readiness())
    if (const Status set = readiness->wake_at(open.deadline_ms); !set) connection_.give_up(set.error());
  open_.emplace(request, std::move(open));
  RK_MARK(commit_noted);
}

Status AsyncCommits::take(std::vector<AsyncOutcome>& out, std::size_t capacity, std::uint32_t timeout_ms) {
  const std::size_t before = out.size();
  const std::uint64_t end_ms = boot_time_ms() + timeout_ms;
  Status connected;
  for (std::uint32_t wait_ms = 0;;) {
    connected = connection_.collect(wait_ms);
    take_answers(out, before + capacity);
    take_overdue(out, before + capacity);
    const std::uint64_t now_ms = boot_time_ms();
    if (out.size() > before || open_.empty() || now_ms >= end_ms || capacity == 0) break;
    wait_ms = static_cast<std::uint32_t>(std::clamp(first_deadline_ms_, now_ms + 1, end_ms) - now_ms);
  }
  rest();
  RK_MARK(outcome_taken);
  if (out.size() > before || !open_.empty()) return {};
  return connected;
}

// From here on the descriptor is readable only for what has not been taken.
void AsyncCommits::rest() {
  Readiness* readiness = connection_.readiness();
  if (readiness == nullptr) return;
  const bool more = connection_.has_posted_answer() || (connection_.broken() && !open_.empty());
  const Status set = more ? readiness->raise()
                          : readiness->rest_until(open_.empty() ? std::nullopt : std::optional(first_deadline_ms_));
  if (!set) connection_.give_up(set.error());
}

void AsyncCommits::take_answers(std::vector<AsyncOutcome>& out, std::size_t capacity) {
  while (out.size() < capacity) {
    const auto answer = connection_.next_posted_answer();
    if (!answer) return;
    auto at = open_.extract(answer->request);
    RK_CHECK(!at.empty());
    auto result = judge(at.mapped(), *answer);
    RK_MARK(outcome_judged);
    if (result) out.push_back({at.mapped().tag, *std::move(result)});
  }
}

// What nobody answers any more.
void AsyncCommits::take_overdue(std::vector<AsyncOutcome>& out, std::size_t capacity) {
  const std::uint64_t now_ms = boot_time_ms();
  if (connection_.has_posted_answer()) return;  // what came counts first
  if (!connection_.broken() && now_ms < first_deadline_ms_) return;
  first_deadline_ms_ = UINT64_MAX;
  for (auto at = open_.begin(); at != open_.end();) {
    const auto& [request, open] = *at;
    if (out.size() >= capacity || (!connection_.broken() && now_ms < open.deadline_ms)) {
      first_deadline_ms_ = std::min(first_deadline_ms_, open.deadline_ms);
      ++at;
      continue;
    }
    connection_.forget(request);
    const std::string why = connection_.broken()
                                ? connection_.broken_by().message
                                : "the server at " + connection_.socket_path() + " did not answer in time";
    out.push_back({open.tag, unknown_outcome(why)});
    at = open_.erase(at);
  }
}

// nullopt: the server is asked again.
std::optional<Result<Committed>> AsyncCommits::judge(Open& open, const wire::Frame& answer) {
  if (!open.late) {
    const auto commit = connection_.read_answer<wire::CommitAnswer>(answer);
    if (!commit && connection_.broken()) return unknown_outcome(commit.error().message);
    if (!commit) return tl::unexpected(commit.error());
    if (commit->result != wire::CommitResult::kOk || !lease_over(commit->lease_until_ms)) return outcome_of(*commit);
    open.late = *commit;
    open.deadline_ms = boot_time_ms() + open.timeout_ms;  // the answer had its time: now the question has
    return ask_again(open);
  }
  const auto content = connection_.read_answer<wire::CheckpointContent>(answer);
  if (!content)
    return unknown_outcome("the server's answer came after its lease from the ring had ended, and then: " +
                           content.error().message);
  // It was not mapped.
  if (content->slot != 0)
    if (const auto released = connection_.post(wire::CheckpointRelease{content->slot})) connection_.forget(*released);
  if (lease_over(content->lease_until_ms)) return ask_again(open);
  return confirm(open, *content);
}

Result<Committed> AsyncCommits::confirm(const Open& open, const wire::CheckpointContent& content) const {
  if (content.version == open.late->version && content.sum == open.late->sum) return outcome_of(*open.late);
  return unknown_outcome(
      "the server's answer came after its lease from the ring had ended, and the version has other "
      "bytes now");
}

std::optional<Result<Committed>> AsyncCommits::ask_again(Open& open) {
  if (boot_time_ms() >= open.deadline_ms)
    return unknown_outcome("the answers of the server at " + connection_.socket_path() +
                           " came after its lease from the ring had ended: is this process or the server short of "
                           "processor time?");
  const auto asked = connection_.post(wire::CheckpointOpen{open.name, open.late->version});
  if (!asked) return unknown_outcome(asked.error().message);
  note(*asked, std::move(open));
  return std::nullopt;
}

Result<int> AsyncCommits::descriptor() {
  RK_TRY(const int descriptor, connection_.posted_descriptor());
  rest();
  return descriptor;
}

}  // namespace rk::client
