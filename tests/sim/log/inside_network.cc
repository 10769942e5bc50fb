// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/log/inside_network.h"

#include <algorithm>

namespace rk::log {

void InsideNetwork::arrive(std::uint32_t source) {
  auto& lane = in_flight_[source];
  if (lane.empty()) return;
  const InsideDelivery message = lane.front();
  lane.pop_front();
  const auto at = std::find_if(posted_.begin(), posted_.end(),
                               [&](const Posted& p) { return fits(message, p.context, p.source, p.tag); });
  if (at == posted_.end()) {
    unexpected_.push_back(message);
    return;
  }
  done_.push_back({at->psn, message});
  posted_.erase(at);
}

void InsideNetwork::post(std::uint64_t psn, std::uint64_t context, std::uint32_t source, std::int32_t tag) {
  const auto at = find(context, source, tag);
  if (at == unexpected_.end()) {
    posted_.push_back({psn, context, source, tag});
    return;
  }
  done_.push_back({psn, *at});
  unexpected_.erase(at);
}

std::vector<InsideNetwork::Done> InsideNetwork::take_done() { return std::exchange(done_, {}); }

void InsideNetwork::clear() { *this = InsideNetwork(); }

bool InsideNetwork::idle() const {
  return unexpected_.empty() && posted_.empty() && done_.empty() &&
         std::all_of(in_flight_.begin(), in_flight_.end(), [](const auto& lane) { return lane.second.empty(); });
}

std::deque<InsideDelivery>::iterator InsideNetwork::find(std::uint64_t context, std::uint32_t source,
                                                         std::int32_t tag) {
  return std::find_if(unexpected_.begin(), unexpected_.end(),
                      [&](const InsideDelivery& m) { return fits(m, context, source, tag); });
}

std::optional<InsideMessage> InsideNetwork::try_match(std::uint64_t context, std::uint32_t source, std::int32_t tag) {
  const auto at = find(context, source, tag);
  if (at == unexpected_.end()) return std::nullopt;
  const InsideMessage message{at->source, at->tag, at->length, ++last_token_};
  taken_.emplace(last_token_, *at);
  unexpected_.erase(at);
  return message;
}

std::optional<InsideMessage> InsideNetwork::try_probe(std::uint64_t context, std::uint32_t source, std::int32_t tag) {
  const auto at = find(context, source, tag);
  if (at == unexpected_.end()) return std::nullopt;
  return InsideMessage{at->source, at->tag, at->length, 0};
}

}  // namespace rk::log
