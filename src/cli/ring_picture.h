// SPDX-License-Identifier: Apache-2.0
// The ring as a picture for people: a closed ring of boxes, or a list where that has no room.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "wire/client_messages.h"

namespace rk::cli {

struct PictureStyle {
  std::size_t columns = 80;
  bool utf8 = false;  // box characters
  bool colours = false;
};

inline constexpr std::size_t kMaxDrawn = 12;  // servers of a ring that is drawn

// Neighbours of one rack: who keeps the second copies of whom. Pointers into `ring`.
std::vector<std::pair<const wire::RingServer*, const wire::RingServer*>> pairs_of_one_rack(
    const wire::RingAnswer& ring);

std::string ring_picture(const wire::RingAnswer& ring, const PictureStyle& style);

}  // namespace rk::cli
