// SPDX-License-Identifier: Apache-2.0
#include "cli/ring_picture.h"

#include <algorithm>
#include <vector>

#include "cli/override.h"
#include "cli/terminal.h"

namespace rk::cli {
namespace {

// Of a box, without its frame. Addresses that are longer are cut.
constexpr std::size_t kInside = 27;
constexpr std::size_t kBox = kInside + 4;
constexpr std::size_t kGap = 7;
constexpr std::size_t kMargin = 2;
constexpr std::size_t kDrawnColumns = kMargin + 2 * kBox + kGap;
constexpr std::size_t kLines = 4;  // in a box

struct Glyphs {
  const char *across, *down, *right, *left, *up_arrow, *down_arrow;
  const char *top_left, *top_right, *bottom_left, *bottom_right;
};
constexpr Glyphs kUtf8{"─", "│", "▶", "◀", "▲", "▼", "┌", "┐", "└", "┘"};
constexpr Glyphs kAscii{"-", "|", ">", "<", "^", "v", "+", "+", "+", "+"};

std::string times(const char* glyph, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += glyph;
  return out;
}

std::string server(NodeId node) { return "server " + std::to_string(node.value); }

const char* colour_of(const std::string& state) {
  if (state == "up") return "32";
  return state == "unknown" || state == "not a member" ? "33" : "31";
}

class Picture {
 public:
  Picture(const wire::RingAnswer& ring, const PictureStyle& style)
      : ring_(ring), style_(style), glyphs_(style.utf8 ? kUtf8 : kAscii) {
    for (const wire::RingServer& one : ring.servers) {
      const bool witness = one.member && one.witness;
      (witness ? witnesses_ : one.member ? members_ : others_).push_back(&one);
    }
  }

  std::string text() const {
    std::string out = head();
    if (members_.size() == 1) {
      out += "\n";
      for (std::size_t line = 0; line < kLines + 2; ++line) out += indent() + box_line(members_[0], line) + "\n";
      out += "\nalone: nobody keeps second copies\n";
    } else if (members_.size() > 1) {
      const bool drawn = members_.size() <= kMaxDrawn && style_.columns >= kDrawnColumns;
      out += drawn ? "\n" + drawing() : list();
    }
    return out + notes() + warnings();
  }

 private:
  std::string head() const {
    std::string out;
    if (members_.empty() && witnesses_.empty())
      out = server(ring_.node) + " is in no view";
    else
      out = "ring of " + std::to_string(members_.size()) + (witnesses_.empty() ? "" : " and a witness") + ", view " +
            std::to_string(ring_.view.value) + ", as " + server(ring_.node) + " sees it";
    const bool serving = ring_.state == "serving";
    out += ": " + coloured(ring_.state, serving ? "32" : "31", style_.colours) + "\n";
    if (!ring_.reason.empty()) out += "  why: " + ring_.reason + "\n";
    if (const std::string mark = override_mark(ring_.overridden); !mark.empty())
      out += "  " + coloured(mark, "33", style_.colours) + "\n";
    return out;
  }

  std::string role(const wire::RingServer& one) const { return &one == members_.front() ? "leads" : ""; }

  // The text of a box, each line of kInside columns.
  std::string inside(const wire::RingServer& one, std::size_t line) const {
    switch (line) {
      case 0: {
        const std::string name = server(one.node) + (one.node == ring_.node ? " (this one)" : "");
        const std::string right = role(one);
        return padded(name, kInside - right.size()) + coloured(right, "1", style_.colours);
      }
      case 1:
        return padded(one.address.substr(0, kInside), kInside);
      case 2:
        return padded("incarnation " + std::to_string(one.incarnation.value), kInside);
      default: {
        const std::string state = one.state.substr(0, kInside);
        const std::size_t rest = kInside - state.size();
        std::string rack = one.rack.empty() ? "" : " rack " + one.rack;
        if (rack.size() > rest) rack.clear();
        return coloured(state, colour_of(one.state), style_.colours) + std::string(rest - rack.size(), ' ') + rack;
      }
    }
  }

  // `line` 0 and kLines + 1 are the frame.
  std::string box_line(const wire::RingServer* one, std::size_t line) const {
    if (line == 0) return glyphs_.top_left + times(glyphs_.across, kInside + 2) + glyphs_.top_right;
    if (line == kLines + 1) return glyphs_.bottom_left + times(glyphs_.across, kInside + 2) + glyphs_.bottom_right;
    return glyphs_.down + (" " + inside(*one, line - 1)) + " " + glyphs_.down;
  }

  // Where an odd ring has no server at its end: the line turns from the right up to the left column.
  std::string corner_line(std::size_t line) const {
    constexpr std::size_t kMiddle = 2;
    if (line < kMiddle) return stem(glyphs_.down);
    if (line > kMiddle) return std::string(kBox, ' ');
    return std::string(kBox / 2, ' ') + glyphs_.bottom_left + times(glyphs_.across, kBox - kBox / 2 - 1);
  }

  std::string stem(const char* glyph) const {
    return std::string(kBox / 2, ' ') + glyph + std::string(kBox - kBox / 2 - 1, ' ');
  }

  static std::string indent() { return std::string(kMargin, ' '); }

  // Between two boxes of one row: the ring runs to the right at its top and to the left at its end.
  std::string gap(std::size_t line, bool to_right, bool to_left, bool corner) const {
    constexpr std::size_t kRightLine = 2;
    const std::size_t left_line = to_right ? 4 : 2;
    if (to_right && line == kRightLine) return times(glyphs_.across, kGap - 1) + glyphs_.right;
    if (to_left && line == left_line)
      return corner ? times(glyphs_.across, kGap) : glyphs_.left + times(glyphs_.across, kGap - 1);
    return std::string(kGap, ' ');
  }

  // Two columns: the leader top left, then down the right one and up the left one.
  std::string drawing() const {
    const std::size_t count = members_.size();
    const std::size_t rows = (count + 1) / 2;
    std::string out;
    for (std::size_t row = 0; row < rows; ++row) {
      const bool last = row + 1 == rows;
      const bool corner = last && row > 0 && count % 2 == 1;
      const wire::RingServer* left = row == 0 ? members_[0] : corner ? nullptr : members_[count - row];
      const wire::RingServer* right = members_[row + 1];
      for (std::size_t line = 0; line < kLines + 2; ++line)
        out += trimmed(indent() + (corner ? corner_line(line) : box_line(left, line)) +
                       gap(line, row == 0, last, corner) + box_line(right, line));
      if (last) break;
      out += trimmed(indent() + stem(glyphs_.up_arrow) + std::string(kGap, ' ') + stem(glyphs_.down_arrow));
    }
    const std::string arrow = times(glyphs_.across, 2) + glyphs_.right;
    return out + "\nA " + arrow + " B: A watches B and keeps the second copies of what B's clients save\n";
  }

  static std::string trimmed(std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    return line + "\n";
  }

  // Without the incarnations where they have no room either.
  std::string list() const {
    const bool wide = style_.columns >= kDrawnColumns;
    std::size_t address = 7;
    for (const wire::RingServer* one : members_) address = std::max(address, one->address.size());
    std::size_t rack = 0;
    for (const wire::RingServer* one : members_) rack = std::max(rack, one->rack.size());
    if (rack > 0) rack = std::max<std::size_t>(rack, 4) + 2;
    std::string out = "  server  " + padded("address", address + 2) + padded(rack > 0 ? "rack" : "", rack) +
                      (wide ? "incarnation    " : "") + "keeps copies of  state\n";
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const wire::RingServer& one = *members_[i];
      const wire::RingServer& next = *members_[(i + 1) % members_.size()];
      out += "  " + padded(std::to_string(one.node.value), 8) + padded(one.address, address + 2) +
             padded(one.rack, rack) + (wide ? padded(std::to_string(one.incarnation.value), 15) : "") +
             padded(server(next.node), 17) + coloured(one.state, colour_of(one.state), style_.colours) +
             (i == 0 ? ", leads" : "") + (one.node == ring_.node ? ", this one" : "") + "\n";
    }
    return out + "each watches the next and keeps its second copies, the last those of the first\n";
  }

  // What the boxes have no room for.
  std::string notes() const {
    std::string out;
    for (const wire::RingServer* one : witnesses_)
      out += "  " + server(one->node) + (one->address.empty() ? "" : " (" + one->address + ")") +
             (one->node == ring_.node ? ", this one" : "") + ": the witness, which votes and holds no data" +
             (members_.empty() ? ", leads" : "") + "; " + coloured(one->state, colour_of(one->state), style_.colours) +
             (one->reason.empty() ? "" : "; " + one->reason) + "\n";
    for (const auto* group : {&members_, &others_})
      for (const wire::RingServer* one : *group) {
        if (one->reason.empty() && one->member) continue;
        out += "  " + server(one->node) + (one->member || one->address.empty() ? "" : " (" + one->address + ")") +
               ": " + coloured(one->state, colour_of(one->state), style_.colours) +
               (one->reason.empty() ? "" : "; " + one->reason) + "\n";
      }
    return out.empty() ? "" : "\n" + out;
  }

  std::string warnings() const {
    std::string out;
    for (const auto& [keeper, kept] : pairs_of_one_rack(ring_))
      out += "  warning: " + server(keeper->node) + " keeps the second copies of " + server(kept->node) +
             ", and both are in rack " + kept->rack + "\n";
    return out.empty() ? "" : "\n" + out;
  }

  const wire::RingAnswer& ring_;
  const PictureStyle& style_;
  const Glyphs& glyphs_;
  std::vector<const wire::RingServer*> members_;
  std::vector<const wire::RingServer*> witnesses_;
  std::vector<const wire::RingServer*> others_;
};

}  // namespace

std::vector<std::pair<const wire::RingServer*, const wire::RingServer*>> pairs_of_one_rack(
    const wire::RingAnswer& ring) {
  std::vector<const wire::RingServer*> members;
  for (const wire::RingServer& one : ring.servers)
    if (one.member && !one.witness) members.push_back(&one);
  std::vector<std::pair<const wire::RingServer*, const wire::RingServer*>> out;
  for (std::size_t i = 0; i < members.size() && members.size() > 1; ++i) {
    const wire::RingServer* next = members[(i + 1) % members.size()];
    if (!next->rack.empty() && members[i]->rack == next->rack) out.emplace_back(members[i], next);
  }
  return out;
}

std::string ring_picture(const wire::RingAnswer& ring, const PictureStyle& style) {
  return Picture(ring, style).text();
}

}  // namespace rk::cli
