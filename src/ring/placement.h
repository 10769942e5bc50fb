// SPDX-License-Identifier: Apache-2.0
// Who is next to whom in the ring: servers of one rack (failure domain) hold each other's second copies only where that
// can not be avoided.
//
// The rule, for every view: of its n servers in the ring let the most frequent label stand m times. Then exactly
// max(0, 2m - n) servers have a predecessor of their own label, the fewest of any order; servers without a label are
// each a rack of their own. A ring is changed by as little as that leaves possible: whoever goes leaves his place,
// whoever comes is inserted, and only then, if too many neighbours are of one rack, one server after the other is
// moved, each move making one such pair fewer.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "ring/view.h"

namespace rk::ring {

// Labels of the servers that have one.
using Racks = std::map<NodeId, std::string>;

// The order of `nodes` in the ring, each the predecessor of the next, the last that of the first; it begins with
// nodes[0]. `before` is the ring that is there. A server of both stays where it is unless the rule moves it; the others
// are inserted in the order of `nodes`: where the fewest neighbours are of one rack, then where the fewest copies move,
// then at the end.
std::vector<NodeId> place(const std::vector<NodeId>& before, const std::vector<NodeId>& nodes, const Racks& racks);

// Completes a view that has its members in the order of age: the witness, if it is one of them, goes to the end of the
// line of succession, so that it leads only if nobody else is there, and the others are placed.
void arrange(View& view, const std::vector<NodeId>& before, const Racks& racks, NodeId witness);

// How many servers of the ring have a predecessor of their own rack, and the number that no order is below.
std::size_t pairs_of_one_rack(const std::vector<NodeId>& ring, const Racks& racks);
std::size_t unavoidable_pairs(const std::vector<NodeId>& ring, const Racks& racks);

}  // namespace rk::ring
