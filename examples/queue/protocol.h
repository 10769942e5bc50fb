// SPDX-License-Identifier: Apache-2.0
// The lines of the queue's protocol. A request is one line, its answer is one line, in the order of the requests.
//
//   put ID BODY               ok ID
//   reserve WORKER REQUEST    job ID BODY | empty
//   delete WORKER ID          ok ID
//   show ID                   ready ID | reserved ID WORKER REQUEST | deleted ID
//   stats                     stats ready=N reserved=N remembered=N bytes=N segments=N
//   quit                      bye
//
// or `error CODE TEXT`, with CODE one of bad-request, exists, not-found, not-owner, over, full, busy, again. After
// `again`, and after a connection that broke, the outcome is unknown: send the same request again.
#pragma once

#include <string>
#include <string_view>

#include "jobs.h"

namespace queue {

// "put", an id, a blank and a body, with some room: a line that is longer is no request.
inline constexpr std::size_t kMaxLineBytes = kMaxBodyBytes + kMaxNameBytes + 16;

struct Answer {
  std::string text;         // without the newline
  bool of_the_jobs = true;  // it tells of the jobs, so that it must not be given if they could not be saved
  bool ends = false;        // the connection ends after it
};

// `line` is without its newline; a carriage return before it is dropped.
Answer answer_to(std::string_view line, Jobs& jobs);
std::string error(std::string_view code, std::string_view text);

}  // namespace queue
