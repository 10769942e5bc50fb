// SPDX-License-Identifier: Apache-2.0
#include "protocol.h"

#include <algorithm>

namespace queue {
namespace {

constexpr std::string_view kBadRequest = "bad-request";

// The next word; `rest` begins behind the blank after it.
std::string_view next_word(std::string_view& rest) {
  const std::size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return word;
}

bool is_name(std::string_view word) {
  return !word.empty() && word.size() <= kMaxNameBytes && std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == ':';
  });
}

Answer bad(std::string_view text) { return {error(kBadRequest, text), false, false}; }

Answer bad_name(std::string_view what) {
  return bad(std::string(what) + " must have 1 to " + std::to_string(kMaxNameBytes) + " of a-z A-Z 0-9 - _ . :");
}

Answer refused(Result result, std::string_view id) {
  const std::string name(id);
  switch (result) {
    case Result::kFull:
      return {error("full", "the queue is full: reserve and delete jobs first")};
    case Result::kExists:
      return {error("exists", "job " + name + " was put before with another body: use another id")};
    case Result::kNotFound:
      return {error("not-found", "there is no job " + name)};
    case Result::kNotOwner:
      return {error("not-owner", "job " + name + " is not reserved by this worker")};
    case Result::kOver:
      return {error("over", "job " + name + " of this request was deleted: use a new request for another job")};
    case Result::kEmpty:
      return {"empty"};
    case Result::kDone:
      break;
  }
  return {"ok " + name};
}

Answer put(std::string_view rest, Jobs& jobs) {
  const std::string_view id = next_word(rest);
  if (!is_name(id)) return bad_name("the id of a job");
  if (rest.size() > kMaxBodyBytes) return bad("a job has at most " + std::to_string(kMaxBodyBytes) + " bytes");
  return refused(jobs.put(id, rest), id);
}

Answer reserve(std::string_view rest, Jobs& jobs) {
  const std::string_view worker = next_word(rest);
  if (!is_name(worker)) return bad_name("the name of a worker");
  if (!is_name(rest)) return bad_name("a request");
  const auto [result, job] = jobs.reserve(worker, rest);
  if (result != Result::kDone) return refused(result, job == nullptr ? "" : job->id);
  return {"job " + job->id + " " + job->body};
}

Answer remove(std::string_view rest, Jobs& jobs) {
  const std::string_view worker = next_word(rest);
  if (!is_name(worker)) return bad_name("the name of a worker");
  if (!is_name(rest)) return bad_name("the id of a job");
  return refused(jobs.remove(worker, rest), rest);
}

Answer show(std::string_view id, const Jobs& jobs) {
  if (!is_name(id)) return bad_name("the id of a job");
  const Job* job = jobs.find(id);
  if (job == nullptr) return refused(Result::kNotFound, id);
  if (job->state == State::kReady) return {"ready " + job->id};
  if (job->state == State::kDeleted) return {"deleted " + job->id};
  return {"reserved " + job->id + " " + job->worker + " " + job->request};
}

Answer stats(const Jobs& jobs) {
  const Stats all = jobs.stats();
  return {"stats ready=" + std::to_string(all.ready) + " reserved=" + std::to_string(all.reserved) +
          " remembered=" + std::to_string(all.remembered) + " bytes=" + std::to_string(all.bytes) +
          " segments=" + std::to_string(all.segments)};
}

}  // namespace

std::string error(std::string_view code, std::string_view text) {
  return "error " + std::string(code) + " " + std::string(text);
}

Answer answer_to(std::string_view line, Jobs& jobs) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::string_view rest = line;
  const std::string_view verb = next_word(rest);
  if (verb == "put") return put(rest, jobs);
  if (verb == "reserve") return reserve(rest, jobs);
  if (verb == "delete") return remove(rest, jobs);
  if (verb == "show") return show(rest, jobs);
  if (line == "stats") return stats(jobs);
  if (line == "quit") return {"bye", false, true};
  return bad("the requests are: put ID BODY, reserve WORKER REQUEST, delete WORKER ID, show ID, stats, quit");
}

}  // namespace queue
